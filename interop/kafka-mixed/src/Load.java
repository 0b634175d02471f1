import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;

/**
 * One idempotent producer and a group of two consumers, at work while nodes come and go.
 *
 * <p>It is told what to do by lines on its standard input, and answers each with one line: `progress` once every
 * partition has taken and delivered more records, `whole` once every replica is in sync too, `leader` with the id of the
 * node that leads the metadata quorum, `finish` once everything was read and compared. What does not come in time, and
 * whatever a client reports that is not retriable, ends the program with what went wrong.
 */
final class Load {
    private static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    private static final String TOPIC = "mixed";
    private static final String GROUP = "mixed-readers";
    private static final int PARTITIONS = 6;
    private static final int MEMBERS = 2;
    private static final int PROGRESS = 20;
    private static final int PATIENCE_SECONDS = 120;
    private static final int REPLICAS = 3;
    private static final long PACE_MILLIS = 10;

    /** The number acknowledged at each offset, per partition. */
    private final List<Map<Long, Long>> acked = IntStream.range(0, PARTITIONS).<Map<Long, Long>>mapToObj(p -> new ConcurrentHashMap<>()).toList();
    /** The number that the group read at each offset. */
    private final List<Map<Long, Long>> read = IntStream.range(0, PARTITIONS).<Map<Long, Long>>mapToObj(p -> new ConcurrentHashMap<>()).toList();
    /** The greatest offset whose commit was answered: no member may be given an earlier one. */
    private final Map<TopicPartition, Long> committed = new ConcurrentHashMap<>();
    private final Admin admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP, "retry.backoff.ms", "20", "retry.backoff.max.ms", "200"));
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final AtomicLong longestWaitNanos = new AtomicLong();
    private volatile boolean produces = true;
    private volatile boolean consumes = true;

    private static final PrintStream ANSWERS = System.out;

    public static void main(String[] arguments) throws Exception {
        // What a client logs is no answer.
        System.setOut(System.err);
        try {
            new Load().run();
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private void run() throws Exception {
        createTopic();
        var producing = thread("producer", this::produce);
        var consuming = IntStream.range(0, MEMBERS).mapToObj(member -> thread("consumer-" + member, this::consume)).toList();
        ANSWERS.println("started");
        var commands = new BufferedReader(new InputStreamReader(System.in));
        for (var command = commands.readLine(); command != null; command = commands.readLine()) {
            switch (command) {
                case "progress" -> ANSWERS.println("progress " + progress());
                case "whole" -> {
                    await("every replica is in sync", this::isWhole);
                    ANSWERS.println("whole " + progress());
                }
                case "leader" -> ANSWERS.println("leader " + quorumLeader());
                case "finish" -> {
                    produces = false;
                    producing.join();
                    await("the group reads to the end", () -> acked.stream().mapToLong(Map::size).sum() <= read.stream().mapToLong(Map::size).sum());
                    consumes = false;
                    for (var consumer : consuming) consumer.join();
                    compare("the group", read);
                    compare("a reader from the start", readAll());
                    ANSWERS.println("finished " + acked.stream().mapToLong(Map::size).sum() + " records, longest wait "
                            + TimeUnit.NANOSECONDS.toMillis(longestWaitNanos.get()) + " ms");
                    return;
                }
                default -> throw new IllegalArgumentException(command);
            }
        }
    }

    private void createTopic() throws Exception {
        // A broker listens before it is a member.
        await("every broker is a member", () -> members() == BOOTSTRAP.split(",").length);
        var topic = new NewTopic(TOPIC, PARTITIONS, (short) REPLICAS).configs(Map.of("min.insync.replicas", "2"));
        admin.createTopics(List.of(topic)).all().get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }

    private int members() {
        try {
            return admin.describeCluster().nodes().get().size();
        } catch (ExecutionException passing) {
            return 0;
        } catch (InterruptedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    private boolean isWhole() {
        try {
            var topics = admin.describeTopics(List.of(TOPIC, "__consumer_offsets")).allTopicNames().get();
            var partitions = topics.values().stream().flatMap(topic -> topic.partitions().stream());
            return partitions.allMatch(partition -> partition.isr().size() == REPLICAS);
        } catch (ExecutionException passing) {
            return false;
        } catch (InterruptedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    private int quorumLeader() throws Exception {
        for (var deadline = deadline();;) {
            try {
                return admin.describeMetadataQuorum().quorumInfo().get().leaderId();
            } catch (ExecutionException passing) {
                if (System.nanoTime() > deadline) throw passing;
                Thread.sleep(100);
            }
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    private Thread thread(String name, Work work) {
        var thread = new Thread(() -> {
            try {
                work.run();
            } catch (Throwable error) {
                failure.compareAndSet(null, error);
            }
        }, name);
        thread.start();
        return thread;
    }

    private void produce() throws Exception {
        var config = Map.<String, Object>of("bootstrap.servers", BOOTSTRAP, "acks", "all", "enable.idempotence", "true",
                "retry.backoff.ms", "20", "retry.backoff.max.ms", "200", "delivery.timeout.ms", "120000", "request.timeout.ms", "20000");
        try (var producer = new KafkaProducer<>(config, new LongSerializer(), new LongSerializer())) {
            for (long number = 0; produces && failure.get() == null; number++) {
                for (int p = 0; p < PARTITIONS; p++) {
                    long sent = System.nanoTime();
                    long value = number;
                    var partition = acked.get(p);
                    producer.send(new ProducerRecord<>(TOPIC, p, null, value), (stored, error) -> {
                        if (error != null) {
                            failure.compareAndSet(null, error);
                            return;
                        }
                        longestWaitNanos.accumulateAndGet(System.nanoTime() - sent, Math::max);
                        var earlier = partition.put(stored.offset(), value);
                        if (earlier != null) failure.compareAndSet(null, new AssertionError("two records acknowledged at offset " + stored.offset()));
                    });
                }
                Thread.sleep(PACE_MILLIS);
            }
        }
    }

    private static KafkaConsumer<Long, Long> consumer(Map<String, Object> more) {
        var config = new HashMap<String, Object>(Map.of("bootstrap.servers", BOOTSTRAP, "auto.offset.reset", "none", "enable.auto.commit", "false",
                "retry.backoff.ms", "20", "retry.backoff.max.ms", "200", "default.api.timeout.ms", "120000"));
        config.putAll(more);
        return new KafkaConsumer<>(config, new LongDeserializer(), new LongDeserializer());
    }

    private void consume() {
        // Without commits a group begins at the start; after that a lost commit would show as a reset.
        var config = Map.<String, Object>of("group.id", GROUP, "auto.offset.reset", "earliest", "session.timeout.ms", "10000",
                "heartbeat.interval.ms", "500");
        try (var consumer = consumer(config)) {
            consumer.subscribe(List.of(TOPIC), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    for (var at : partitions) {
                        long least = committed.getOrDefault(at, 0L);
                        long position = consumer.position(at);
                        if (position < least) throw new AssertionError(at + " goes on at " + position + " though " + least + " was committed");
                    }
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}
            });
            while (consumes && failure.get() == null) {
                var records = consumer.poll(Duration.ofMillis(100));
                for (var record : records) note(read, record);
                if (!records.isEmpty()) commit(consumer, records.nextOffsets());
            }
        }
    }

    private void commit(KafkaConsumer<?, ?> consumer, Map<TopicPartition, OffsetAndMetadata> offsets) {
        try {
            consumer.commitSync(offsets);
            offsets.forEach((at, offset) -> committed.merge(at, offset.offset(), Math::max));
        } catch (CommitFailedException | RetriableException passing) {
            // The group rebalances, or its coordinator moves: what was read is read once more, at most.
            System.err.println("not committed: " + passing);
        }
    }

    /** A record that is read twice, after a rebalance, is the same both times. */
    private static void note(List<Map<Long, Long>> into, ConsumerRecord<Long, Long> record) {
        var earlier = into.get(record.partition()).put(record.offset(), record.value());
        if (earlier != null && !earlier.equals(record.value())) {
            throw new AssertionError("partition " + record.partition() + " held " + earlier + " at offset " + record.offset() + ", now " + record.value());
        }
    }

    private List<Map<Long, Long>> readAll() {
        var all = IntStream.range(0, PARTITIONS).<Map<Long, Long>>mapToObj(p -> new HashMap<>()).toList();
        var partitions = IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(TOPIC, p)).toList();
        try (var consumer = consumer(Map.of())) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            var deadline = deadline();
            while (partitions.stream().anyMatch(at -> consumer.position(at) < ends.get(at))) {
                if (System.nanoTime() > deadline) throw new AssertionError("cannot read up to " + ends);
                for (var record : consumer.poll(Duration.ofMillis(100))) note(all, record);
            }
        }
        return all;
    }

    /** Every partition holds exactly what was acknowledged: dense, each number once and in the order of the sends. */
    private void compare(String who, List<Map<Long, Long>> got) {
        for (int p = 0; p < PARTITIONS; p++) {
            var stored = acked.get(p);
            for (long offset = 0; offset < stored.size(); offset++) {
                if (!Long.valueOf(offset).equals(stored.get(offset))) {
                    throw new AssertionError("partition " + p + " acknowledged " + stored.get(offset) + " at offset " + offset);
                }
            }
            if (!stored.equals(got.get(p))) {
                Set<Map.Entry<Long, Long>> lost = new HashSet<>(stored.entrySet());
                lost.removeAll(got.get(p).entrySet());
                Set<Map.Entry<Long, Long>> more = new HashSet<>(got.get(p).entrySet());
                more.removeAll(stored.entrySet());
                throw new AssertionError(who + ", partition " + p + ": lost " + lost + ", not acknowledged " + more);
            }
        }
    }

    /** Waits until every partition has taken and delivered more records. */
    private long progress() throws Exception {
        var before = acked.stream().map(partition -> partition.size() + PROGRESS).toList();
        await("every partition takes records", () -> IntStream.range(0, PARTITIONS).allMatch(p -> acked.get(p).size() >= before.get(p)));
        await("the group reads them", () -> IntStream.range(0, PARTITIONS).allMatch(p -> read.get(p).size() >= before.get(p)));
        return acked.stream().mapToLong(Map::size).sum();
    }

    private void await(String what, BooleanSupplier condition) throws Exception {
        var deadline = deadline();
        while (!condition.getAsBoolean()) {
            var error = failure.get();
            if (error != null) throw new AssertionError("a client failed", error);
            if (System.nanoTime() > deadline) {
                throw new TimeoutException("never happened: " + what + "; acknowledged " + acked.stream().map(Map::size).toList()
                        + ", read " + read.stream().map(Map::size).toList());
            }
            Thread.sleep(10);
        }
        var error = failure.get();
        if (error != null) throw new AssertionError("a client failed", error);
    }

    private static long deadline() {
        return System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
    }
}
