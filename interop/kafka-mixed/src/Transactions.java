import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.errors.InvalidTxnStateException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.utils.Utils;

/**
 * Transactions under ids whose coordinators are on all brokers, and a reader of what is committed.
 *
 * <p>Each writes to every partition and moves an offset of a group. In turn they are committed, aborted, or left open by
 * a producer that goes away, whose successor fences it.
 */
final class Transactions {
    static final String TOPIC = "mixed-transactions";
    static final String STATES = "__transaction_state";
    private static final int PARTITIONS = 4;
    private static final short REPLICAS = 3;
    private static final long PACE_MILLIS = 50;
    private static final TopicPartition POSITION = new TopicPartition(TOPIC, 0);
    /** Numbers are unique: each id has so many to itself. */
    private static final long NUMBERS_PER_ID = 1_000_000;

    private enum End {
        COMMIT,
        ABORT,
        NONE
    }

    private static final List<End> ENDS = List.of(End.COMMIT, End.ABORT, End.COMMIT, End.NONE);

    private final Work work;
    private final Admin admin;
    private final Numbers committed = new Numbers(PARTITIONS);
    private final Numbers read = new Numbers(PARTITIONS);
    private final Map<String, AtomicLong> commits = new ConcurrentHashMap<>();
    private final List<Thread> producing = new ArrayList<>();
    private final AtomicInteger refused = new AtomicInteger();
    private volatile boolean produces = true;
    private volatile boolean consumes = true;
    private Thread consuming;

    Transactions(Work work, Admin admin) {
        this.work = work;
        this.admin = admin;
    }

    void start(int brokers) throws Exception {
        var topic = new NewTopic(TOPIC, PARTITIONS, REPLICAS).configs(Map.of("min.insync.replicas", "2"));
        admin.createTopics(List.of(topic)).all().get(Work.PATIENCE_SECONDS, TimeUnit.SECONDS);
        for (var id : idsFor(brokers)) {
            commits.put(id, new AtomicLong());
            long first = commits.size() * NUMBERS_PER_ID;
            producing.add(work.start(id, () -> produce(id, first)));
        }
        consuming = work.start("reader of what is committed", this::consume);
    }

    /** Ids of which each has another broker as its coordinator, while every partition is led as it should be. */
    private List<String> idsFor(int brokers) throws Exception {
        // Whoever is looked for first is the reason for the topic of states.
        try {
            admin.describeTransactions(List.of("nobody")).all().get();
        } catch (ExecutionException unknown) {
            // As expected.
        }
        var states = described(STATES).partitions();
        Set<Integer> coordinators = new HashSet<>();
        var candidates = Stream.iterate(0, n -> n + 1).limit(1000).map(n -> "mixed-" + n);
        var ids = candidates.filter(id -> {
            var partition = states.get(Utils.abs(id.hashCode()) % states.size());
            return coordinators.add(partition.replicas().get(0).id());
        });
        var found = ids.limit(brokers).toList();
        if (found.size() < brokers) throw new AssertionError("only " + coordinators + " coordinate transactions");
        return found;
    }

    /** A broker may not have heard yet of a topic that another has just made. */
    private TopicDescription described(String topic) throws Exception {
        for (var deadline = Work.deadline();; Thread.sleep(10)) {
            try {
                return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            } catch (ExecutionException early) {
                if (!(early.getCause() instanceof UnknownTopicOrPartitionException) || System.nanoTime() > deadline) throw early;
            }
        }
    }

    private void produce(String id, long first) throws Exception {
        long position = -1;
        var group = groupOf(id);
        var producer = begin(id);
        try {
            for (long number = first; produces && !work.hasFailed(); number++) {
                var end = ENDS.get((int) (number % ENDS.size()));
                var written = write(producer, group, number);
                if (end == End.NONE || !comesTo(end, id, producer)) {
                    producer.close(Duration.ZERO);
                    producer = begin(id);
                    comparePosition(id, position);
                } else if (end == End.COMMIT) {
                    for (int p = 0; p < PARTITIONS; p++) committed.of(p).put(written.get(p), number);
                    position = number;
                    commits.get(id).incrementAndGet();
                }
                Thread.sleep(PACE_MILLIS);
            }
        } finally {
            producer.close();
        }
    }

    /**
     * False when a coordinator that is not the one any more, and has not heard of it yet, says that nothing is open: the
     * leaders of partitions have told the next one which of them take part, and nobody tells the client. What is refused is
     * not committed. Kafka's do that while they give up what they led.
     */
    private boolean comesTo(End end, String id, KafkaProducer<Long, Long> producer) throws Exception {
        try {
            patiently(end == End.COMMIT ? producer::commitTransaction : producer::abortTransaction);
            return true;
        } catch (InvalidTxnStateException stale) {
            refused.incrementAndGet();
            for (var deadline = Work.deadline(); !isOpen(id); Thread.sleep(10)) if (System.nanoTime() > deadline) throw stale;
            return false;
        }
    }

    /** By the word of the coordinator that is the one. */
    private boolean isOpen(String id) throws Exception {
        return admin.describeTransactions(List.of(id)).description(id).get().state() == TransactionState.ONGOING;
    }

    /** One without members, whose name is that of the transactions. */
    private static ConsumerGroupMetadata groupOf(String id) {
        try (var consumer = Work.consumer(Map.of("group.id", id))) {
            return consumer.groupMetadata();
        }
    }

    private static KafkaProducer<Long, Long> begin(String id) {
        var producer = Work.producer(Map.of("transactional.id", id));
        patiently(producer::initTransactions);
        return producer;
    }

    /** Has a transaction written to all partitions; tells at which offset of each. */
    private static List<Long> write(KafkaProducer<Long, Long> producer, ConsumerGroupMetadata group, long number) throws Exception {
        producer.beginTransaction();
        var sent = IntStream.range(0, PARTITIONS).mapToObj(p -> producer.send(new ProducerRecord<>(TOPIC, p, null, number))).toList();
        patiently(() -> producer.sendOffsetsToTransaction(Map.of(POSITION, new OffsetAndMetadata(number)), group));
        var offsets = new ArrayList<Long>();
        for (var record : sent) offsets.add(record.get().offset());
        return offsets;
    }

    /** What the client gives up waiting for may be asked for again. */
    private static void patiently(Runnable call) {
        for (var deadline = Work.deadline();;) {
            try {
                call.run();
                return;
            } catch (TimeoutException passing) {
                if (System.nanoTime() > deadline) throw passing;
            }
        }
    }

    /** The group stands where the last transaction that was committed left it. */
    private void comparePosition(String id, long expected) throws Exception {
        var group = Map.of(id, new ListConsumerGroupOffsetsSpec().topicPartitions(List.of(POSITION)));
        var options = new ListConsumerGroupOffsetsOptions().requireStable(true).timeoutMs(Work.PATIENCE_SECONDS * 1000);
        var position = admin.listConsumerGroupOffsets(group, options).partitionsToOffsetAndMetadata(id).get().get(POSITION);
        var got = position == null ? -1 : position.offset();
        if (got != expected) throw new AssertionError("group " + id + " is at " + got + " instead of " + expected);
    }

    private void consume() {
        try (var consumer = reader()) {
            consumer.assign(partitions());
            consumer.seekToBeginning(partitions());
            while (consumes && !work.hasFailed()) {
                for (var record : consumer.poll(Work.POLL)) {
                    if (read.of(record.partition()).containsKey(record.offset())) throw new AssertionError("read twice: " + record);
                    read.note(record);
                }
            }
        }
    }

    private static KafkaConsumer<Long, Long> reader() {
        return Work.consumer(Map.of("isolation.level", "read_committed"));
    }

    /** Waits until transactions of each id have ended in every way, and what was committed is read. */
    void progress() throws Exception {
        var goals = commits.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, id -> id.getValue().get() + 2));
        for (var goal : goals.entrySet()) {
            work.await("transactions of " + goal.getKey() + " are committed", () -> commits.get(goal.getKey()).get() >= goal.getValue());
        }
        readAllCommitted();
    }

    private void readAllCommitted() throws Exception {
        long count = committed.size();
        work.await("what is committed is read", () -> read.size() >= count);
    }

    void finish() throws Exception {
        produces = false;
        for (var producer : producing) producer.join();
        readAllCommitted();
        consumes = false;
        consuming.join();
        committed.compare("a reader of what is committed", read);
        committed.compare("such a reader from the start", Numbers.readAll(TOPIC, PARTITIONS, reader()));
    }

    /** Where everything stands, for whoever asks why it does not go on. */
    void explain() {
        var questions = Map.<String, Callable<Object>>of(
                "quorum", () -> admin.describeMetadataQuorum().quorumInfo().get(),
                "transactions", () -> admin.describeTransactions(commits.keySet()).all().get(),
                "topics", () -> admin.describeTopics(List.of(TOPIC, STATES, "__consumer_offsets")).allTopicNames().get().values().stream()
                        .flatMap(topic -> topic.partitions().stream().map(at -> topic.name() + "-" + at.partition() + ": " + replicas(at))).toList(),
                "producers", () -> admin.describeProducers(partitions()).all().get());
        questions.forEach((what, question) -> {
            try {
                System.err.println(what + ": " + question.call());
            } catch (Exception unknown) {
                System.err.println(what + ": " + unknown);
            }
        });
    }

    private static String replicas(TopicPartitionInfo at) {
        return (at.leader() == null ? "nobody" : at.leader().idString()) + " of " + at.isr().stream().map(Node::idString).toList();
    }

    private static List<TopicPartition> partitions() {
        return IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(TOPIC, p)).toList();
    }

    /** How many were committed, and what was read of them. */
    @Override
    public String toString() {
        return "transactions " + commits + ", refused " + refused + ", committed " + committed + ", read " + read;
    }
}
