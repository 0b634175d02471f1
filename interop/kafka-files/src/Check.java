import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Compares what a broker serves with the manifest, then goes on producing and committing. */
final class Check {
    private final Admin admin = Broker.admin();
    private final Manifest manifest;

    private Check(Manifest manifest) {
        this.manifest = manifest;
    }

    public static void main(String[] arguments) throws Exception {
        var check = new Check(new Manifest(Path.of(arguments[0])));
        check.topics();
        try (var consumer = Broker.consumer(null)) {
            for (var topic : check.manifest.topics.entrySet()) {
                for (int p = 0; p < topic.getValue().partitions(); p++) check.partition(consumer, new TopicPartition(topic.getKey(), p));
            }
        }
        check.groups();
        check.goOn();
        check.manifest.save();
        check.admin.close();
        System.exit(0);
    }

    static void same(String what, Object expected, Object got) {
        if (!Objects.equals(expected, got)) throw new AssertionError(what + "\n    expected " + expected + "\n    got      " + got);
    }

    private void topics() throws Exception {
        var names = admin.listTopics().names().get().stream().filter(name -> !name.startsWith("__")).collect(Collectors.toSet());
        same("the topics", manifest.topics.keySet(), names);
        for (var topic : Broker.get(admin.describeTopics(names).allTopicNames()).values()) {
            same(topic.name(), manifest.topics.get(topic.name()), new Manifest.Topic(topic.topicId().toString(), topic.partitions().size()));
        }
        for (var topic : manifest.configs.entrySet()) {
            var what = new ConfigResource(ConfigResource.Type.TOPIC, topic.getKey());
            var described = Broker.get(admin.describeConfigs(List.of(what)).all()).get(what);
            topic.getValue().forEach((key, value) -> same(topic.getKey() + " " + key, value, described.get(key).value()));
        }
    }

    private void partition(KafkaConsumer<byte[], byte[]> consumer, TopicPartition at) {
        var expected = manifest.records.getOrDefault(at.toString(), List.of());
        long start = manifest.starts.getOrDefault(at.toString(), 0L);
        same(at + " starts", start, consumer.beginningOffsets(List.of(at)).get(at));
        same(at + " ends", start + expected.size(), consumer.endOffsets(List.of(at)).get(at));
        var got = Broker.readAll(consumer, at, start);
        for (int i = 0; i < expected.size(); i++) same(at + " record " + i, expected.get(i), manifest.describe(got.get(i)).toString());
        same(at + " has as many records", expected.size(), got.size());

        // From the middle of the log, and by time: through the indexes.
        if (!got.isEmpty()) {
            var middle = got.get(got.size() / 2);
            same(at + " from the middle", middle.offset(), Broker.readAll(consumer, at, middle.offset()).get(0).offset());
            var first = got.stream().filter(record -> record.timestamp() >= middle.timestamp()).findFirst().orElseThrow();
            same(at + " by time", first.offset(), consumer.offsetsForTimes(Map.of(at, middle.timestamp())).get(at).offset());
            long greatest = got.stream().mapToLong(record -> record.timestamp()).max().orElseThrow();
            var found = Broker.get(admin.listOffsets(Map.of(at, OffsetSpec.maxTimestamp())).partitionResult(at));
            same(at + " greatest time", greatest, found.timestamp());
        }

        same(at + " producers", manifest.producers.getOrDefault(at.toString(), Map.of()), Broker.producers(admin, at));
    }

    private void groups() {
        var listed = Broker.get(admin.listGroups().all()).stream().map(group -> group.groupId()).collect(Collectors.toSet());
        same("the groups", manifest.offsets.keySet(), listed);
        for (var group : manifest.offsets.entrySet()) {
            var offsets = new HashMap<String, String>();
            Broker.get(admin.listConsumerGroupOffsets(group.getKey()).partitionsToOffsetAndMetadata())
                    .forEach((at, committed) -> offsets.put(at.toString(), committed.offset() + " " + committed.metadata()));
            same("offsets of " + group.getKey(), group.getValue(), new TreeMap<>(offsets));
        }
    }

    private void goOn() throws Exception {
        // The group resumes where it stood.
        var resumed = new TopicPartition("files-none", 0);
        try (var consumer = Broker.consumer("files-members")) {
            consumer.subscribe(List.of("files-none"));
            while (consumer.assignment().size() < 2) consumer.poll(Duration.ZERO);
            long stood = Long.parseLong(manifest.offsets.get("files-members").get(resumed.toString()).split(" ")[0]);
            same("files-members resumes", stood, consumer.committed(Set.of(resumed)).get(resumed).offset());
            var further = new OffsetAndMetadata(stood + 10, "further");
            consumer.commitSync(Map.of(resumed, further));
            manifest.addOffset("files-members", resumed, further);
        }
        var known = manifest.producers.values().stream().flatMap(of -> of.keySet().stream()).collect(Collectors.toSet());
        var at = new TopicPartition("files-segments", 0);
        try (var consumer = Broker.consumer(null)) {
            for (var codec : List.of("none", "zstd")) {
                long end = consumer.endOffsets(List.of(at)).get(at);
                Broker.send(at, codec, 500, 2000, end);
                Broker.note(manifest, admin, consumer, at, end);
            }
            var name = "files-turn-" + manifest.topics.size();
            var created = admin.createTopics(List.of(new NewTopic(name, 1, (short) 1)));
            manifest.addTopic(name, Broker.get(created.topicId(name)).toString(), 1);
            Broker.awaitTopic(admin, name, 1);
            Broker.send(new TopicPartition(name, 0), "lz4", 20, 100, 1);
            Broker.note(manifest, admin, consumer, new TopicPartition(name, 0), 0);
        }
        var fresh = manifest.producers.values().stream().flatMap(of -> of.keySet().stream()).filter(id -> !known.contains(id)).distinct().count();
        same("three new producers with ids of their own", 3L, fresh);
    }
}
