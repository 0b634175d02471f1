import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** A compacted topic that is written in transactions, and that the owner's cleaner makes as small as it gets. */
final class Table {
    static final TopicPartition AT = new TopicPartition("compacted", 0);
    /** Of its transactional producer. */
    static final String ID = "table";

    private static final int SEGMENT_BYTES = 1 << 20;
    private static final int KEYS = 20;
    private static final int VALUE_BYTES = 8000;
    private static final String FILLER = "filler-";

    private final Admin admin;
    private final KafkaProducer<byte[], byte[]> plain;
    private final int turn;
    private int fillers;

    Table(Admin admin, KafkaProducer<byte[], byte[]> plain, int turn) {
        this.admin = admin;
        this.plain = plain;
        this.turn = turn;
    }

    void create() {
        var configs = Map.of("cleanup.policy", "compact", "segment.bytes", Integer.toString(SEGMENT_BYTES),
                "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "1");
        Broker.get(admin.createTopics(List.of(new NewTopic(AT.topic(), 1, (short) 1).configs(configs))).all());
        Broker.awaitTopic(admin, AT.topic(), 1);
    }

    /** Writes it anew, and waits until nothing is left of what was written before, deleted or aborted. */
    void compact() throws Exception {
        var expected = new TreeMap<String, String>();
        try (var producer = Transactions.producer(ID, 60_000)) {
            for (int round = 0; round < 3; round++) {
                boolean commits = round != 1;
                producer.beginTransaction();
                for (int i = 0; i < KEYS; i++) {
                    var value = turn + "-" + round + "-" + i;
                    send(producer, "key-" + i, value);
                    if (commits) expected.put("key-" + i, value);
                }
                send(producer, commits ? "gone-" + turn : "never", turn + "-" + round);
                if (commits) producer.commitTransaction();
                else producer.abortTransaction();
            }
            producer.beginTransaction();
            send(producer, "gone-" + turn, null);
            producer.commitTransaction();
        }
        // Tombstones go in the second pass that meets them, and a pass needs a segment that is not in use.
        try (var consumer = Broker.consumer(null, "read_uncommitted")) {
            fill();
            Broker.await("compaction", 60, () -> hasOnly(consumer, expected, true));
            fill();
            Broker.await("compaction of tombstones", 60, () -> hasOnly(consumer, expected, false));
        }
    }

    private void send(KafkaProducer<byte[], byte[]> producer, String key, String value) throws Exception {
        producer.send(record(key, value)).get(30, TimeUnit.SECONDS);
    }

    private static ProducerRecord<byte[], byte[]> record(String key, String value) {
        var bytes = value == null ? null : (value + " ".repeat(VALUE_BYTES)).getBytes();
        return new ProducerRecord<>(AT.topic(), AT.partition(), key.getBytes(), bytes);
    }

    /** Records that stay, one segment and more: what lies before is no longer in the segment in use. */
    private void fill() throws Exception {
        var answers = new ArrayList<Future<?>>();
        for (int bytes = 0; bytes < SEGMENT_BYTES; bytes += VALUE_BYTES) answers.add(plain.send(record(FILLER + turn + "-" + fillers++, "")));
        for (var answer : answers) answer.get(30, TimeUnit.SECONDS);
    }

    /** Whether each key is there once, with the value that it should have. */
    private static boolean hasOnly(KafkaConsumer<byte[], byte[]> consumer, Map<String, String> expected, boolean withTombstones) {
        var keys = new HashSet<String>();
        var got = new TreeMap<String, String>();
        for (var record : Broker.readAll(consumer, AT, 0)) {
            var key = new String(record.key());
            if (!keys.add(key)) return false;
            if (record.value() == null && withTombstones || key.startsWith(FILLER)) continue;
            got.put(key, record.value() == null ? null : new String(record.value()).strip());
        }
        return got.equals(expected);
    }
}
