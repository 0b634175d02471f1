import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.errors.RetriableException;

/**
 * One idempotent producer, a group of two consumers and {@link Transactions}, at work while nodes come and go.
 *
 * <p>It is told what to do by lines on its standard input, and answers each with one line: `progress` once every
 * partition has taken and delivered more records and every id has had more transactions, `whole` once every replica is
 * in sync and leads what it should too, `leader` with the id of the node that leads the metadata quorum, `finish` once everything was read and
 * compared. What does not come in time, and whatever a client reports that is not retriable, ends the program with what
 * went wrong.
 */
final class Load {
    private static final int BROKERS = Work.BOOTSTRAP.split(",").length;
    private static final String TOPIC = "mixed";
    private static final String GROUP = "mixed-readers";
    private static final int PARTITIONS = 6;
    private static final int MEMBERS = 2;
    private static final int PROGRESS = 20;
    private static final int REPLICAS = 3;
    private static final long PACE_MILLIS = 10;

    private final Numbers acked = new Numbers(PARTITIONS);
    /** By the group. */
    private final Numbers read = new Numbers(PARTITIONS);
    /** The greatest offset whose commit was answered: no member may be given an earlier one. */
    private final Map<TopicPartition, Long> committed = new ConcurrentHashMap<>();
    private final Admin admin = Admin.create(Work.client(Map.of()));
    private final Work work = new Work(this::toString);
    private final Transactions transactions = new Transactions(work, admin);
    private final AtomicLong longestWaitNanos = new AtomicLong();
    private volatile boolean produces = true;
    private volatile boolean consumes = true;

    private static final PrintStream ANSWERS = System.out;

    public static void main(String[] arguments) throws Exception {
        // What a client logs is no answer.
        System.setOut(System.err);
        var load = new Load();
        try {
            load.run();
        } catch (Throwable error) {
            error.printStackTrace();
            load.transactions.explain();
            System.exit(1);
        }
        System.exit(0);
    }

    private void run() throws Exception {
        createTopic();
        transactions.start(BROKERS);
        var producing = work.start("producer", this::produce);
        var consuming = IntStream.range(0, MEMBERS).mapToObj(member -> work.start("consumer-" + member, this::consume)).toList();
        ANSWERS.println("started");
        var commands = new BufferedReader(new InputStreamReader(System.in));
        for (var command = commands.readLine(); command != null; command = commands.readLine()) {
            switch (command) {
                case "progress" -> ANSWERS.println("progress " + progress());
                case "whole" -> {
                    work.await("every replica is in sync", () -> all(partition -> partition.isr().size() == REPLICAS));
                    work.await("leaders are those preferred", this::isLedAsPreferred);
                    ANSWERS.println("whole " + progress());
                }
                case "leader" -> ANSWERS.println("leader " + quorumLeader());
                case "finish" -> {
                    produces = false;
                    producing.join();
                    work.await("the group reads to the end", () -> acked.size() <= read.size());
                    consumes = false;
                    for (var consumer : consuming) consumer.join();
                    checkDense();
                    acked.compare("the group", read);
                    acked.compare("a reader from the start", Numbers.readAll(TOPIC, PARTITIONS, Work.consumer(Map.of())));
                    transactions.finish();
                    ANSWERS.println("finished " + acked.size() + " records, longest wait " + TimeUnit.NANOSECONDS.toMillis(longestWaitNanos.get())
                            + " ms; " + transactions);
                    return;
                }
                default -> throw new IllegalArgumentException(command);
            }
        }
    }

    private void createTopic() throws Exception {
        // A broker listens before it is a member.
        work.await("every broker is a member", () -> members() == BROKERS);
        var topic = new NewTopic(TOPIC, PARTITIONS, (short) REPLICAS).configs(Map.of("min.insync.replicas", "2"));
        admin.createTopics(List.of(topic)).all().get(Work.PATIENCE_SECONDS, TimeUnit.SECONDS);
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

    /** Has every broker lead again what it should: so nodes of both kinds coordinate, and take part in each transaction. */
    private boolean isLedAsPreferred() {
        if (all(partition -> partition.leader() != null && partition.leader().id() == partition.replicas().get(0).id())) return true;
        try {
            admin.electLeaders(ElectionType.PREFERRED, null).partitions().get();
        } catch (ExecutionException passing) {
            // Asked again.
        } catch (InterruptedException impossible) {
            throw new AssertionError(impossible);
        }
        return false;
    }

    private boolean all(Predicate<TopicPartitionInfo> condition) {
        try {
            var topics = admin.describeTopics(List.of(TOPIC, Transactions.TOPIC, Transactions.STATES, "__consumer_offsets")).allTopicNames().get();
            return topics.values().stream().flatMap(topic -> topic.partitions().stream()).allMatch(condition);
        } catch (ExecutionException passing) {
            return false;
        } catch (InterruptedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    private int quorumLeader() throws Exception {
        for (var deadline = Work.deadline();;) {
            try {
                return admin.describeMetadataQuorum().quorumInfo().get().leaderId();
            } catch (ExecutionException passing) {
                if (System.nanoTime() > deadline) throw passing;
                Thread.sleep(100);
            }
        }
    }

    private void produce() throws Exception {
        try (var producer = Work.producer(Map.of())) {
            for (long number = 0; produces && !work.hasFailed(); number++) {
                for (int p = 0; p < PARTITIONS; p++) {
                    long sent = System.nanoTime();
                    long value = number;
                    var partition = acked.of(p);
                    producer.send(new ProducerRecord<>(TOPIC, p, null, value), (stored, error) -> {
                        if (error != null) {
                            work.fail(error);
                            return;
                        }
                        longestWaitNanos.accumulateAndGet(System.nanoTime() - sent, Math::max);
                        var earlier = partition.put(stored.offset(), value);
                        if (earlier != null) work.fail(new AssertionError("two records acknowledged at offset " + stored.offset()));
                    });
                }
                Thread.sleep(PACE_MILLIS);
            }
        }
    }

    private void consume() {
        // Without commits a group begins at the start; after that a lost commit would show as a reset.
        var config = Map.<String, Object>of("group.id", GROUP, "auto.offset.reset", "earliest", "session.timeout.ms", "10000",
                "heartbeat.interval.ms", "500");
        try (var consumer = Work.consumer(config)) {
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
            while (consumes && !work.hasFailed()) {
                var records = consumer.poll(Work.POLL);
                for (var record : records) read.note(record);
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

    /** Every partition took each number once and in the order of the sends, without a hole. */
    private void checkDense() {
        for (int p = 0; p < PARTITIONS; p++) {
            var stored = acked.of(p);
            for (long offset = 0; offset < stored.size(); offset++) {
                if (!Long.valueOf(offset).equals(stored.get(offset))) {
                    throw new AssertionError("partition " + p + " acknowledged " + stored.get(offset) + " at offset " + offset);
                }
            }
        }
    }

    /** Waits until every partition has taken and delivered more records, and transactions went on. */
    private long progress() throws Exception {
        var goals = IntStream.range(0, PARTITIONS).map(p -> acked.of(p).size() + PROGRESS).toArray();
        work.await("every partition takes records", () -> has(acked, goals));
        work.await("the group reads them", () -> has(read, goals));
        transactions.progress();
        return acked.size();
    }

    private static boolean has(Numbers numbers, int[] goals) {
        return IntStream.range(0, PARTITIONS).allMatch(p -> numbers.of(p).size() >= goals[p]);
    }

    @Override
    public String toString() {
        return "acknowledged " + acked + ", read " + read + "; " + transactions;
    }
}
