import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The broker at $BOOTSTRAP, and the few things that filling and checking have in common. */
final class Broker {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");

    private static final long HOUR_AGO = System.currentTimeMillis() - 3_600_000;

    private Broker() {}

    static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", BOOTSTRAP));
    }

    static KafkaConsumer<byte[], byte[]> consumer(String group) {
        return consumer(group, "read_committed");
    }

    static KafkaConsumer<byte[], byte[]> consumer(String group, String isolation) {
        var config = new HashMap<String, Object>(Map.of("bootstrap.servers", BOOTSTRAP, "auto.offset.reset", "earliest",
                "enable.auto.commit", "false", "isolation.level", isolation));
        if (group != null) config.put("group.id", group);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Sends `count` records, different in all that a record has, by an idempotent producer in several batches. */
    static void send(TopicPartition at, String codec, int count, int bytes, long seed) throws Exception {
        var random = new Random(seed);
        var config = Map.<String, Object>of("bootstrap.servers", BOOTSTRAP, "compression.type", codec, "linger.ms", "5", "batch.size", "20000");
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            var answers = new ArrayList<java.util.concurrent.Future<?>>();
            for (int i = 0; i < count; i++) {
                var value = new byte[bytes];
                random.nextBytes(value);
                java.util.Arrays.fill(value, bytes / 2, bytes, (byte) 'a');
                var headers = new RecordHeaders();
                if (i % 3 == 0) headers.add("number", Integer.toString(i).getBytes()).add("none", null);
                var key = i % 5 == 0 ? null : ("key-" + i % 20).getBytes();
                // Times go up and down, so that the greatest of a batch is not that of its last record.
                var time = HOUR_AGO + 1000L * (i ^ 1);
                answers.add(producer.send(new ProducerRecord<>(at.topic(), at.partition(), time, key, i % 7 == 6 && key != null ? null : value, headers)));
            }
            for (var answer : answers) answer.get(30, TimeUnit.SECONDS);
        }
    }

    /** All records of a partition from `start` to its end. */
    static List<ConsumerRecord<byte[], byte[]>> readAll(KafkaConsumer<byte[], byte[]> consumer, TopicPartition at, long start) {
        consumer.assign(List.of(at));
        consumer.seek(at, start);
        long end = consumer.endOffsets(List.of(at)).get(at);
        var records = new ArrayList<ConsumerRecord<byte[], byte[]>>();
        var deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (consumer.position(at) < end) {
            if (System.nanoTime() > deadline) throw new AssertionError(at + " ends at " + end + ", read only up to " + consumer.position(at));
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    static void await(String what, int seconds, BooleanSupplier condition) throws InterruptedException {
        var deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > deadline) throw new AssertionError("never happened: " + what);
            Thread.sleep(50);
        }
    }

    /** The controller answers that a topic is made; the broker knows a moment later. */
    static void awaitTopic(Admin admin, String name, int partitions) {
        try {
            await(name, 20, () -> {
                var listed = get(admin.listTopics().names()).contains(name);
                return listed && get(admin.describeTopics(List.of(name)).allTopicNames()).get(name).partitions().size() == partitions;
            });
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }

    static <T> T get(KafkaFuture<T> future) {
        try {
            return future.get(20, TimeUnit.SECONDS);
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    /** What is in the partition from offset `from` on, and who wrote it, goes into the manifest. */
    static void note(Manifest manifest, Admin admin, KafkaConsumer<byte[], byte[]> consumer, TopicPartition at, long from) {
        readAll(consumer, at, from).forEach(manifest::addRecord);
        producers(admin, at).values().forEach(it -> manifest.addProducer(at, it.id(), it.epoch(), it.sequence()));
    }

    /** Those that the partition's leader remembers, by their ids. */
    static Map<Long, Manifest.Producer> producers(Admin admin, TopicPartition at) {
        var producers = new TreeMap<Long, Manifest.Producer>();
        for (var it : get(admin.describeProducers(List.of(at)).partitionResult(at)).activeProducers()) {
            producers.put(it.producerId(), new Manifest.Producer(it.producerId(), it.producerEpoch(), it.lastSequence()));
        }
        return producers;
    }
}
