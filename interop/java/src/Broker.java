import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The broker at $BOOTSTRAP, and what every example needs of it. */
final class Broker {
    static final String BOOTSTRAP = Optional.ofNullable(System.getenv("BOOTSTRAP")).orElse("127.0.0.1:9092");

    /** A time that no retention reaches while a test runs. */
    static final long HOUR_AGO = System.currentTimeMillis() - 3_600_000;

    private Broker() {}

    /** A name that nobody has used before. */
    static String fresh(String what) {
        return "java-" + what + "-" + UUID.randomUUID().toString().substring(0, 8);
    }

    static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", BOOTSTRAP));
    }

    static String createTopic(int partitions, String... config) throws Exception {
        var name = fresh("topic");
        try (var admin = admin()) {
            var topic = new NewTopic(name, partitions, (short) 1).configs(pairs(config));
            get(admin.createTopics(List.of(topic)).all());
            // The controller answers; the broker knows a moment later.
            await("topic " + name, () -> {
                try {
                    return get(admin.describeTopics(List.of(name)).allTopicNames()).get(name).partitions().size() == partitions;
                } catch (Exception unknown) {
                    return false;
                }
            });
        }
        return name;
    }

    static Map<String, String> pairs(String... keysAndValues) {
        var map = new HashMap<String, String>();
        for (int i = 0; i < keysAndValues.length; i += 2) map.put(keysAndValues[i], keysAndValues[i + 1]);
        return map;
    }

    static KafkaProducer<String, String> producer(String... config) {
        return new KafkaProducer<>(with(config), new StringSerializer(), new StringSerializer());
    }

    static KafkaProducer<byte[], byte[]> bytesProducer(String... config) {
        return new KafkaProducer<>(with(config), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<String, String> consumer(String... config) {
        return new KafkaConsumer<>(forReading(config), new StringDeserializer(), new StringDeserializer());
    }

    static KafkaConsumer<byte[], byte[]> bytesConsumer(String... config) {
        return new KafkaConsumer<>(forReading(config), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static Map<String, Object> with(String... config) {
        var all = new HashMap<String, Object>(Map.of("bootstrap.servers", BOOTSTRAP));
        all.putAll(pairs(config));
        return all;
    }

    private static Map<String, Object> forReading(String... config) {
        var all = new HashMap<String, Object>(Map.of("auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        all.putAll(with(config));
        return all;
    }

    /** Sends the numbers from `from` to `to`, number n to partition n modulo `partitions`. */
    static List<RecordMetadata> fill(String topic, int from, int to, int partitions) throws Exception {
        try (var producer = producer()) {
            var sent = new ArrayList<java.util.concurrent.Future<RecordMetadata>>();
            for (int n = from; n < to; n++) {
                sent.add(producer.send(new ProducerRecord<>(topic, n % partitions, null, Integer.toString(n))));
            }
            var answers = new ArrayList<RecordMetadata>();
            for (var one : sent) answers.add(one.get(20, TimeUnit.SECONDS));
            return answers;
        }
    }

    /** Polls until `count` records have come, from where the consumer stands. */
    static <K, V> List<ConsumerRecord<K, V>> read(KafkaConsumer<K, V> consumer, int count) {
        var records = new ArrayList<ConsumerRecord<K, V>>();
        var deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (records.size() < count) {
            assertTrue(System.nanoTime() < deadline, () -> records.size() + " of " + count + " records");
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    static void await(String what, BooleanSupplier condition) throws InterruptedException {
        var deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > deadline) fail("never happened: " + what);
            Thread.sleep(10);
        }
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    /** The class of error by which the broker refused. */
    static Class<?> refusal(java.util.concurrent.Future<?> future) throws Exception {
        try {
            return fail("not refused: " + future.get(20, TimeUnit.SECONDS));
        } catch (ExecutionException refused) {
            return refused.getCause().getClass();
        }
    }

    static TopicPartition at(String topic, int partition) {
        return new TopicPartition(topic, partition);
    }
}
