import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * One owner's turn with transactions: what the last one left is compared, its open transactions come to
 * their ends, others begin and end, a table is compacted, and transactions are left open for the next owner.
 *
 * <p>What both kinds of readers see then is in a manifest each.
 */
final class Transactions {
    static final List<String> LEVELS = List.of("read_committed", "read_uncommitted");
    static final List<TopicPartition> DATA = List.of(new TopicPartition("transactions", 0), new TopicPartition("transactions", 1));

    /** Its transactions have come to an end when an owner leaves. */
    private static final String STEADY = "steady";
    /** Its transaction is open when an owner leaves, until it comes back. */
    private static final String LEFT = "left";
    /** Its transaction is open when an owner leaves, until its time is over. */
    private static final String LATE = "late";
    private static final TopicPartition LATE_DATA = new TopicPartition("late", 0);
    static final String GROUP = "transactions";

    private final Admin admin = Broker.admin();
    private final KafkaProducer<byte[], byte[]> plain = new KafkaProducer<>(
            Map.of("bootstrap.servers", Broker.BOOTSTRAP), new ByteArraySerializer(), new ByteArraySerializer());
    private final int turn;
    private final Path folder;
    private final int lateSeconds;
    private final Map<String, Manifest> found = new TreeMap<>();
    /** How many transactions have been committed and aborted in each partition. */
    private final Map<String, Manifest.Markers> markers = new TreeMap<>();

    private Transactions(int turn, Path folder, int lateSeconds) throws Exception {
        this.turn = turn;
        this.folder = folder;
        this.lateSeconds = lateSeconds;
        for (var level : LEVELS) found.put(level, new Manifest(path(level)));
        for (var at : DATA) markers.put(at.toString(), committed().markers.getOrDefault(at.toString(), new Manifest.Markers(0, 0)));
    }

    public static void main(String[] arguments) throws Exception {
        var story = new Transactions(Integer.parseInt(arguments[0]), Path.of(arguments[1]), Integer.parseInt(arguments[2]));
        var table = new Table(story.admin, story.plain, story.turn);
        if (story.turn == 0) {
            story.create();
            table.create();
        } else {
            story.compare();
            story.endWhatWasOpen();
        }
        story.transact();
        table.compact();
        story.leaveOpen();
        story.note();
        // Whoever has a transaction open goes without a word.
        Runtime.getRuntime().halt(0);
    }

    private Path path(String level) {
        return folder.resolve(level + ".jsonl");
    }

    private Manifest committed() {
        return found.get("read_committed");
    }

    private List<TopicPartition> partitions() {
        var all = new ArrayList<>(DATA);
        all.add(Table.AT);
        return all;
    }

    static KafkaProducer<byte[], byte[]> producer(String id, int timeout) {
        var config = Map.<String, Object>of("bootstrap.servers", Broker.BOOTSTRAP, "transactional.id", id, "transaction.timeout.ms", timeout);
        var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        producer.initTransactions();
        return producer;
    }

    static void send(KafkaProducer<byte[], byte[]> producer, TopicPartition at, String... values) throws Exception {
        var answers = new ArrayList<Future<?>>();
        for (var value : values) answers.add(producer.send(new ProducerRecord<>(at.topic(), at.partition(), null, value.getBytes())));
        for (var answer : answers) answer.get(30, TimeUnit.SECONDS);
    }

    private void create() {
        Broker.get(admin.createTopics(List.of(new NewTopic("transactions", 2, (short) 1), new NewTopic("late", 1, (short) 1))).all());
        Broker.awaitTopic(admin, "transactions", 2);
        Broker.awaitTopic(admin, "late", 1);
    }

    /** Both kinds of readers see what they saw, the group and the transactions stand where they stood. */
    private void compare() {
        for (var level : LEVELS) {
            try (var consumer = Broker.consumer(null, level)) {
                for (var at : partitions()) {
                    Check.same(level + " ends " + at, found.get(level).ends.get(at.toString()), consumer.endOffsets(List.of(at)).get(at));
                    Check.same(level + " " + at, found.get(level).records.get(at.toString()), records(level, at));
                }
            }
        }
        for (var at : DATA) Check.same(at + " producers", committed().producers.get(at.toString()), Broker.producers(admin, at));
        Check.same("the offsets", committed().offsets.get(GROUP), offsets(false));
        Check.same("the offsets but for those in an open transaction", Map.of(), offsets(true));
        for (var id : List.of(STEADY, LEFT, Table.ID)) Check.same(id, committed().transactions.get(id), described(id));
    }

    private List<String> records(String level, TopicPartition at) {
        try (var consumer = Broker.consumer(null, level)) {
            var manifest = found.get(level);
            return Broker.readAll(consumer, at, 0).stream().map(record -> manifest.describe(record).toString()).toList();
        }
    }

    private Map<String, String> offsets(boolean onlyStable) {
        var options = new ListConsumerGroupOffsetsOptions().requireStable(onlyStable);
        var all = Map.of(GROUP, new ListConsumerGroupOffsetsSpec());
        var offsets = new TreeMap<String, String>();
        Broker.get(admin.listConsumerGroupOffsets(all, options).partitionsToOffsetAndMetadata(GROUP))
                .forEach((at, offset) -> offsets.put(at.toString(), offset.offset() + " " + offset.metadata()));
        return offsets;
    }

    private TransactionDescription description(String id) {
        return Broker.get(admin.describeTransactions(List.of(id)).description(id));
    }

    private Manifest.Transaction described(String id) {
        var it = description(id);
        var partitions = it.topicPartitions().stream().map(TopicPartition::toString).sorted().toList();
        return new Manifest.Transaction(it.state().toString(), it.producerId(), it.producerEpoch(), String.join(",", partitions));
    }

    /** One producer comes back under the same id, the other one's time passes. */
    private void endWhatWasOpen() throws Exception {
        var before = committed().transactions.get(LEFT);
        try (var back = producer(LEFT, 300_000)) {
            var after = described(LEFT);
            boolean newer = after.producer() == before.producer() && after.epoch() > before.epoch();
            if (!newer) throw new AssertionError(LEFT + " was " + before + " and came back as " + after);
            back.beginTransaction();
            send(back, DATA.get(0), "back-" + turn);
            back.commitTransaction();
        }
        for (var at : DATA) count(at, 0, 1);
        count(DATA.get(0), 1, 0);
        awaitAllStable();
        Check.same("the offsets when the transaction has been aborted", committed().offsets.get(GROUP), offsets(true));
        for (var at : DATA) {
            var expected = new ArrayList<>(committed().records.get(at.toString()));
            // Of what was there, only the transaction that was open is not committed.
            found.get("read_uncommitted").records.get(at.toString()).stream()
                    .filter(line -> offset(line) >= committed().ends.get(at.toString()) && !line.contains(Manifest.base64(open(turn - 1))))
                    .forEach(expected::add);
            var got = records("read_committed", at);
            Check.same(at + " when the transaction has been aborted", expected, got.subList(0, expected.size()));
        }

        try (var reader = Broker.consumer(null, "read_committed"); var impatient = Broker.consumer(null, "read_uncommitted")) {
            Broker.await("the end of a transaction by its time-out", 90, () ->
                    reader.endOffsets(List.of(LATE_DATA)).equals(impatient.endOffsets(List.of(LATE_DATA))));
            var values = Broker.readAll(reader, LATE_DATA, 0).stream().map(record -> new String(record.value())).toList();
            var expected = java.util.stream.IntStream.range(0, turn).mapToObj(earlier -> "behind-" + earlier).toList();
            Check.same("what is committed beside late transactions", expected, values);
        }
    }

    private static long offset(String line) {
        try {
            return Manifest.JSON.readTree(line).get("offset").asLong();
        } catch (java.io.IOException malformed) {
            throw new AssertionError(malformed);
        }
    }

    private static byte[] open(int turn) {
        return ("open-" + turn).getBytes();
    }

    private void count(TopicPartition at, int commits, int aborts) {
        markers.merge(at.toString(), new Manifest.Markers(commits, aborts), Manifest.Markers::plus);
    }

    private void awaitAllStable() throws InterruptedException {
        try (var reader = Broker.consumer(null, "read_committed"); var impatient = Broker.consumer(null, "read_uncommitted")) {
            Broker.await("the end of every transaction", 30, () ->
                    reader.endOffsets(partitions()).equals(impatient.endOffsets(partitions())) && !offsets(true).isEmpty());
        }
    }

    /** Transactions with both ends, in which a group's offset moves, and records of others in between. */
    private void transact() throws Exception {
        try (var steady = producer(STEADY, 60_000); var consumer = Broker.consumer(GROUP)) {
            for (int i = 0; i < 5; i++) {
                boolean commits = i % 2 == 0;
                steady.beginTransaction();
                for (var at : DATA) {
                    send(steady, at, "steady-" + turn + "-" + i, "of one batch");
                    send(plain, at, "between-" + turn + "-" + i);
                    send(steady, at, commits ? "committed" : "aborted");
                    count(at, commits ? 1 : 0, commits ? 0 : 1);
                }
                steady.sendOffsetsToTransaction(Map.of(DATA.get(0), offset(i)), consumer.groupMetadata());
                if (commits) steady.commitTransaction();
                else steady.abortTransaction();
            }
        }
        awaitAllStable();
        Check.same("the offset of the last commit", Map.of(DATA.get(0).toString(), offset(4).offset() + " " + offset(4).metadata()), offsets(true));
    }

    private OffsetAndMetadata offset(int number) {
        return new OffsetAndMetadata(100 * turn + number, "turn " + turn);
    }

    private void leaveOpen() throws Exception {
        var left = producer(LEFT, 300_000);
        left.beginTransaction();
        for (var at : partitions()) {
            var record = new ProducerRecord<>(at.topic(), at.partition(), ("open-" + turn).getBytes(), open(turn));
            left.send(record).get(30, TimeUnit.SECONDS);
        }
        try (var consumer = Broker.consumer(GROUP)) {
            left.sendOffsetsToTransaction(Map.of(DATA.get(0), new OffsetAndMetadata(9999)), consumer.groupMetadata());
        }
        for (var at : DATA) send(plain, at, "behind-" + turn);

        var late = producer(LATE, 1000 * lateSeconds);
        late.beginTransaction();
        send(late, LATE_DATA, "late-" + turn);
        send(plain, LATE_DATA, "behind-" + turn);
    }

    private void note() throws Exception {
        Check.same("a transaction that was left", TransactionState.ONGOING, description(LEFT).state());
        for (var level : LEVELS) {
            Files.deleteIfExists(path(level));
            var manifest = new Manifest(path(level));
            try (var consumer = Broker.consumer(null, level)) {
                for (var at : partitions()) {
                    manifest.addEnd(at, consumer.endOffsets(List.of(at)).get(at));
                    Broker.note(manifest, admin, consumer, at, 0);
                }
            }
            for (var at : DATA) manifest.addMarkers(at, markers.get(at.toString()));
            for (var id : List.of(STEADY, LEFT, Table.ID)) manifest.addTransaction(id, described(id));
            manifest.addOffset(GROUP, DATA.get(0), offset(4));
            manifest.save();
        }
    }
}
