import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Feeds lines to the chains, and judges what comes out of each: every line once, and in order.
 *
 * <p>It is told what to do by lines on its standard input, and answers each with one line: `progress` once every chain has
 * brought more out of every partition, `whole` once every replica is in sync too, `leader` with the id of the node that
 * leads the metadata quorum, `drain` once nothing more is fed and all of it has come out, and `finish`, when the chains
 * have ended, once no transaction is open and all was compared.
 */
final class Load {
    private static final String INPUT = "lines";
    private static final int PARTITIONS = 4;
    private static final int PROGRESS = 20;
    private static final long PACE_MILLIS = 10;
    /** So many lines may be fed before the slowest chain has them: what is to come out at the end is bounded. */
    private static final long LEAD = 4_000;
    private static final PrintStream ANSWERS = System.out;

    private final List<Output> outputs;
    private final AtomicLongArray acked = new AtomicLongArray(PARTITIONS);
    private final Map<TopicPartition, Long> read = new ConcurrentHashMap<>();
    /** How far each lane of each chain is to come. */
    private volatile Map<Output, Map<String, Long>> goals = Map.of();
    private final Work work = new Work(() -> "fed " + acked + "; " + behind());
    private final Nodes nodes = new Nodes(work);
    private volatile boolean feeds = true;

    private Load(String... chains) {
        outputs = Stream.of(chains).map(Output::of).toList();
    }

    public static void main(String[] chains) throws Exception {
        // What a client logs is no answer.
        System.setOut(System.err);
        try {
            new Load(chains).run();
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private void run() throws Exception {
        nodes.create(Stream.concat(Stream.of(INPUT), chains()).map(name -> new NewTopic(name, PARTITIONS, Nodes.COUNT)).toList());
        var feeding = work.start("feeder", this::feed);
        work.start("reader", this::read);
        ANSWERS.println("started");
        var commands = new BufferedReader(new InputStreamReader(System.in));
        for (var command = commands.readLine(); command != null; command = commands.readLine()) {
            switch (command) {
                case "progress" -> ANSWERS.println("progress " + progress());
                case "whole" -> {
                    nodes.awaitWhole();
                    ANSWERS.println("whole " + progress());
                }
                case "leader" -> ANSWERS.println("leader " + nodes.quorumLeader());
                case "drain" -> {
                    feeds = false;
                    feeding.join();
                    reach("all comes out", output -> output.wanted(fed()));
                    ANSWERS.println("drained");
                }
                case "finish" -> {
                    nodes.awaitQuiet(partitions());
                    var ends = nodes.committedEnds(partitions());
                    work.await("all is read", () -> ends.entrySet().stream().allMatch(it -> read.getOrDefault(it.getKey(), 0L) >= it.getValue()));
                    compare();
                    ANSWERS.println(LongStream.of(fed()).sum() + " lines, exactly once through each of " + chains().toList());
                }
                default -> throw new IllegalArgumentException(command);
            }
        }
    }

    private Stream<String> chains() {
        return outputs.stream().map(output -> output.chain);
    }

    /** How many lines are in each partition. */
    private long[] fed() {
        return IntStream.range(0, PARTITIONS).mapToLong(acked::get).toArray();
    }

    private void feed() throws Exception {
        var config = Work.client(Map.of("acks", "all", "enable.idempotence", "true"));
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (long number = 0; feeds && !work.hasFailed(); number++) {
                for (int partition = 0; partition < PARTITIONS; partition++) {
                    int to = partition;
                    producer.send(new ProducerRecord<>(INPUT, to, String.valueOf(number), Lines.words(to, number)), (stored, error) -> {
                        if (error != null) work.fail(error);
                        acked.incrementAndGet(to);
                    });
                }
                do Thread.sleep(PACE_MILLIS);
                while (feeds && !work.hasFailed() && outputs.stream().anyMatch(output -> output.lines() + LEAD < LongStream.of(fed()).sum()));
            }
        }
    }

    private void read() {
        var config = Work.client(Map.of("isolation.level", "read_committed", "auto.offset.reset", "none", "default.api.timeout.ms", "120000"));
        var byTopic = outputs.stream().collect(Collectors.toMap(output -> output.chain, output -> output));
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(partitions());
            consumer.seekToBeginning(partitions());
            while (!work.hasFailed()) {
                consumer.poll(Work.POLL).forEach(record -> byTopic.get(record.topic()).note(record));
                for (var partition : partitions()) read.put(partition, consumer.position(partition));
            }
        }
    }

    /** Of all that is written by chains. */
    private List<TopicPartition> partitions() {
        return chains().flatMap(chain -> IntStream.range(0, PARTITIONS).mapToObj(partition -> new TopicPartition(chain, partition))).toList();
    }

    private String progress() throws Exception {
        reach("every chain goes on", output -> output.wanted(fed()).keySet().stream().collect(Collectors.toMap(lane -> lane, lane -> output.size(lane) + PROGRESS)));
        return outputs.stream().map(output -> output.chain + " " + output.lines()).collect(Collectors.joining(", "));
    }

    private void reach(String what, Function<Output, Map<String, Long>> goal) throws Exception {
        goals = outputs.stream().collect(Collectors.toMap(output -> output, goal));
        work.await(what, () -> behind().isEmpty());
    }

    private List<String> behind() {
        return goals.entrySet().stream().flatMap(goal -> goal.getKey().behind(goal.getValue())).toList();
    }

    private void compare() {
        var complaints = outputs.stream().flatMap(output -> output.complaints(output.wanted(fed())).stream()).toList();
        if (!complaints.isEmpty()) throw new AssertionError("not exactly once:\n" + String.join("\n", complaints));
    }
}
