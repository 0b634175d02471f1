import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * What a data directory holds, as lines of JSON; a later line about the same thing replaces an earlier one.
 *
 * <p>The kinds: `topic` (name, id, partitions), `config` (topic, key, value), `record` (topic, partition, offset,
 * timestamp, key, value, headers; bytes as base64), `start` and `end` (topic, partition, offset), `offset` (group,
 * topic, partition, offset, metadata), `producer` (topic, partition, id, epoch, sequence), `transaction` (id, state,
 * producer, epoch, partitions) and `markers` (topic, partition, commits, aborts).
 */
final class Manifest {
    static final ObjectMapper JSON = new ObjectMapper();

    record Topic(String id, int partitions) {}

    record Producer(long id, int epoch, int sequence) {}

    record Transaction(String state, long producer, int epoch, String partitions) {}

    /** How many transactions have ended so. */
    record Markers(int commits, int aborts) {
        Markers plus(Markers other) {
            return new Markers(commits + other.commits, aborts + other.aborts);
        }
    }

    final Map<String, Topic> topics = new TreeMap<>();
    final Map<String, Map<String, String>> configs = new TreeMap<>();
    final Map<String, List<String>> records = new TreeMap<>();
    final Map<String, Long> starts = new TreeMap<>();
    final Map<String, Long> ends = new TreeMap<>();
    final Map<String, Transaction> transactions = new TreeMap<>();
    final Map<String, Markers> markers = new TreeMap<>();
    final Map<String, Map<String, String>> offsets = new TreeMap<>();
    final Map<String, Map<Long, Producer>> producers = new TreeMap<>();

    private final Path path;

    Manifest(Path path) throws IOException {
        this.path = path;
        if (!Files.exists(path)) return;
        try (var lines = Files.lines(path)) {
            for (var line : (Iterable<String>) lines::iterator) take(JSON.readTree(line));
        }
    }

    private void take(JsonNode line) {
        var topic = line.path("topic").asText();
        var partition = topic + "-" + line.path("partition").asInt();
        switch (line.get("kind").asText()) {
            case "topic" -> topics.put(topic, new Topic(line.get("id").asText(), line.get("partitions").asInt()));
            case "config" -> configs.computeIfAbsent(topic, t -> new TreeMap<>()).put(line.get("key").asText(), line.get("value").asText());
            case "record" -> records.computeIfAbsent(partition, p -> new ArrayList<>()).add(line.toString());
            case "start" -> starts.put(partition, line.get("offset").asLong());
            case "end" -> ends.put(partition, line.get("offset").asLong());
            case "transaction" -> transactions.put(line.get("id").asText(), new Transaction(line.get("state").asText(),
                    line.get("producer").asLong(), line.get("epoch").asInt(), line.get("partitions").asText()));
            case "markers" -> markers.put(partition, new Markers(line.get("commits").asInt(), line.get("aborts").asInt()));
            case "offset" -> offsets.computeIfAbsent(line.get("group").asText(), g -> new TreeMap<>())
                    .put(partition, line.get("offset").asLong() + " " + line.get("metadata").asText());
            case "producer" -> producers.computeIfAbsent(partition, p -> new TreeMap<>()).put(line.get("id").asLong(),
                    new Producer(line.get("id").asLong(), line.get("epoch").asInt(), line.get("sequence").asInt()));
            default -> throw new IllegalArgumentException(line.toString());
        }
    }

    private ObjectNode line(String kind, String topic) {
        return JSON.createObjectNode().put("kind", kind).put("topic", topic);
    }

    private void add(ObjectNode line) {
        take(line);
        pending.add(line.toString());
    }

    private final List<String> pending = new ArrayList<>();

    void addTopic(String name, String id, int partitions) {
        add(line("topic", name).put("id", id).put("partitions", partitions));
    }

    void addConfig(String topic, String key, String value) {
        add(line("config", topic).put("key", key).put("value", value));
    }

    void addRecord(ConsumerRecord<byte[], byte[]> record) {
        add(describe(record));
    }

    ObjectNode describe(ConsumerRecord<byte[], byte[]> record) {
        var line = line("record", record.topic()).put("partition", record.partition()).put("offset", record.offset())
                .put("timestamp", record.timestamp()).put("type", record.timestampType().name)
                .put("key", base64(record.key())).put("value", base64(record.value()));
        var headers = line.putArray("headers");
        record.headers().forEach(header -> headers.addArray().add(header.key()).add(base64(header.value())));
        return line;
    }

    void addStart(TopicPartition at, long offset) {
        add(line("start", at.topic()).put("partition", at.partition()).put("offset", offset));
    }

    void addEnd(TopicPartition at, long offset) {
        add(line("end", at.topic()).put("partition", at.partition()).put("offset", offset));
    }

    void addTransaction(String id, Transaction transaction) {
        add(JSON.createObjectNode().put("kind", "transaction").put("id", id).put("state", transaction.state())
                .put("producer", transaction.producer()).put("epoch", transaction.epoch()).put("partitions", transaction.partitions()));
    }

    void addMarkers(TopicPartition at, Markers markers) {
        add(line("markers", at.topic()).put("partition", at.partition()).put("commits", markers.commits()).put("aborts", markers.aborts()));
    }

    void addOffset(String group, TopicPartition at, OffsetAndMetadata committed) {
        add(line("offset", at.topic()).put("group", group).put("partition", at.partition())
                .put("offset", committed.offset()).put("metadata", committed.metadata()));
    }

    void addProducer(TopicPartition at, long id, int epoch, int sequence) {
        add(line("producer", at.topic()).put("partition", at.partition()).put("id", id).put("epoch", epoch).put("sequence", sequence));
    }

    void save() throws IOException {
        Files.write(path, pending, java.nio.file.StandardOpenOption.CREATE, java.nio.file.StandardOpenOption.APPEND);
        pending.clear();
    }

    static String base64(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
