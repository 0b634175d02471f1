import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Fills an empty broker with one of each thing that its files must carry, and writes the manifest. */
final class Fill {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");

    private final Admin admin = Broker.admin();
    private final Manifest manifest;

    private Fill(Manifest manifest) {
        this.manifest = manifest;
    }

    public static void main(String[] arguments) throws Exception {
        var fill = new Fill(new Manifest(Path.of(arguments[0])));
        fill.topics();
        fill.groups();
        if (arguments.length > 1 && arguments[1].equals("compacts")) fill.compactedOffsets();
        fill.manifest.save();
        fill.admin.close();
        System.exit(0);
    }

    private void topics() throws Exception {
        for (var codec : CODECS) {
            create("files-" + codec, 2, Map.of());
            for (int partition = 0; partition < 2; partition++) Broker.send(new TopicPartition("files-" + codec, partition), codec, 400, 200, partition);
        }
        create("files-segments", 1, Map.of("segment.bytes", "1048576", "index.interval.bytes", "1024"));
        Broker.send(new TopicPartition("files-segments", 0), "none", 2000, 2000, 7);
        create("files-append-time", 1, Map.of("message.timestamp.type", "LogAppendTime", "retention.ms", "123456789"));
        Broker.send(new TopicPartition("files-append-time", 0), "lz4", 50, 100, 8);
        create("files-empty", 1, Map.of());
        create("files-recompressed", 1, Map.of("compression.type", "zstd"));
        Broker.send(new TopicPartition("files-recompressed", 0), "gzip", 50, 100, 9);

        create("files-trimmed", 1, Map.of());
        var trimmed = new TopicPartition("files-trimmed", 0);
        Broker.send(trimmed, "none", 50, 100, 10);
        Broker.get(admin.deleteRecords(Map.of(trimmed, RecordsToDelete.beforeOffset(20))).all());
        manifest.addStart(trimmed, 20);

        // Metadata with a history: a topic that is gone, one that came again, one that grew, a config taken back.
        create("files-gone", 3, Map.of());
        Broker.get(admin.deleteTopics(List.of("files-gone")).all());
        create("files-again", 1, Map.of());
        Broker.send(new TopicPartition("files-again", 0), "none", 10, 10, 11);
        Broker.get(admin.deleteTopics(List.of("files-again")).all());
        create("files-again", 1, Map.of());
        create("files-grown", 1, Map.of());
        Broker.get(admin.createPartitions(Map.of("files-grown", NewPartitions.increaseTo(3))).all());
        alter("files-grown", AlterConfigOp.OpType.SET, "retention.bytes", "1000000000");
        alter("files-grown", AlterConfigOp.OpType.SET, "flush.messages", "10");
        alter("files-grown", AlterConfigOp.OpType.DELETE, "flush.messages", null);
        Broker.awaitTopic(admin, "files-grown", 3);
        Broker.send(new TopicPartition("files-grown", 2), "none", 10, 10, 12);

        try (var consumer = Broker.consumer(null)) {
            for (var topic : Broker.get(admin.describeTopics(admin.listTopics().names().get()).allTopicNames()).values()) {
                if (topic.isInternal()) continue;
                manifest.addTopic(topic.name(), topic.topicId().toString(), topic.partitions().size());
                for (var partition : topic.partitions()) {
                    var at = new TopicPartition(topic.name(), partition.partition());
                    Broker.note(manifest, admin, consumer, at, manifest.starts.getOrDefault(at.toString(), 0L));
                }
            }
        }
        manifest.addConfig("files-segments", "segment.bytes", "1048576");
        manifest.addConfig("files-append-time", "message.timestamp.type", "LogAppendTime");
        manifest.addConfig("files-append-time", "retention.ms", "123456789");
        manifest.addConfig("files-grown", "retention.bytes", "1000000000");
        manifest.addConfig("files-grown", "flush.messages", "9223372036854775807");
    }

    private void create(String name, int partitions, Map<String, String> configs) {
        Broker.get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all());
        Broker.awaitTopic(admin, name, partitions);
    }

    private void alter(String topic, AlterConfigOp.OpType how, String key, String value) {
        var what = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Broker.get(admin.incrementalAlterConfigs(Map.of(what, List.of(new AlterConfigOp(new ConfigEntry(key, value), how)))).all());
    }

    private void groups() {
        var none = new TopicPartition("files-none", 0);
        // One that really consumed, with members and generations; one that only commits; one deleted; one with a hole.
        try (var consumer = Broker.consumer("files-members")) {
            consumer.subscribe(List.of("files-none"));
            while (consumer.assignment().size() < 2) consumer.poll(Duration.ofMillis(50));
            commit("files-members", consumer, new TopicPartition("files-none", 0), new OffsetAndMetadata(100, "a hundred"));
            commit("files-members", consumer, new TopicPartition("files-none", 1), new OffsetAndMetadata(200));
        }
        try (var consumer = Broker.consumer("files-alone")) {
            consumer.assign(List.of(none));
            for (int i = 1; i <= 50; i++) commit("files-alone", consumer, none, new OffsetAndMetadata(i));
        }
        Broker.get(admin.alterConsumerGroupOffsets("files-dead", Map.of(none, new OffsetAndMetadata(1))).all());
        Broker.get(admin.deleteConsumerGroups(List.of("files-dead")).all());
        var hole = new TopicPartition("files-gzip", 0);
        Broker.get(admin.alterConsumerGroupOffsets("files-hole", Map.of(none, new OffsetAndMetadata(5), hole, new OffsetAndMetadata(6))).all());
        Broker.get(admin.deleteConsumerGroupOffsets("files-hole", java.util.Set.of(hole)).all());
        manifest.addOffset("files-hole", none, new OffsetAndMetadata(5));
    }

    private void commit(String group, org.apache.kafka.clients.consumer.Consumer<?, ?> consumer, TopicPartition at, OffsetAndMetadata offset) {
        consumer.commitSync(Map.of(at, offset));
        manifest.addOffset(group, at, offset);
    }

    /** Commits until the offsets topic has several segments, and waits until the old ones have been compacted. */
    private void compactedOffsets() throws Exception {
        alter("__consumer_offsets", AlterConfigOp.OpType.SET, "segment.bytes", "1048576");
        alter("__consumer_offsets", AlterConfigOp.OpType.SET, "min.cleanable.dirty.ratio", "0.01");
        var at = new TopicPartition("files-none", 0);
        try (var consumer = Broker.consumer("files-compacted")) {
            consumer.assign(List.of(at));
            for (int i = 1; i <= 800; i++) {
                var offset = new OffsetAndMetadata(i, "x".repeat(4000));
                consumer.commitSync(Map.of(at, offset));
                if (i == 800) manifest.addOffset("files-compacted", at, offset);
            }
        }
        Broker.await("compaction of the offsets", 30, () -> offsetsBytes() < 2_000_000);
    }

    private long offsetsBytes() {
        return Broker.get(admin.describeLogDirs(List.of(1)).allDescriptions()).get(1).values().stream()
                .flatMap(dir -> dir.replicaInfos().entrySet().stream())
                .filter(replica -> replica.getKey().topic().equals("__consumer_offsets"))
                .mapToLong(replica -> replica.getValue().size()).sum();
    }
}
