import static org.junit.jupiter.api.Assertions.*;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.record.TimestampType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Records go in and come out as they were. */
class ProducerTest {
    @ParameterizedTest
    @ValueSource(strings = {"none", "gzip", "snappy", "lz4", "zstd"})
    void recordsComeBackAsSent(String codec) throws Exception {
        var topic = Broker.createTopic(1);
        var sent = new ArrayList<ProducerRecord<byte[], byte[]>>();
        for (int i = 0; i < 500; i++) {
            var headers = new RecordHeaders().add("trace", new byte[] {0, -1}).add("trace", null);
            var value = new byte[300];
            java.util.Arrays.fill(value, (byte) i);
            sent.add(new ProducerRecord<>(topic, 0, Broker.HOUR_AGO + i, ("k" + i).getBytes(), value, headers));
        }
        sent.add(new ProducerRecord<>(topic, null, "no key".getBytes()));
        sent.add(new ProducerRecord<>(topic, "no value".getBytes(), null));
        try (var producer = Broker.bytesProducer("compression.type", codec, "linger.ms", "5")) {
            var answers = new ArrayList<Future<RecordMetadata>>();
            for (var record : sent) answers.add(producer.send(record));
            for (int i = 0; i < sent.size(); i++) assertEquals(i, answers.get(i).get(20, TimeUnit.SECONDS).offset());
        }
        try (var consumer = Broker.bytesConsumer()) {
            consumer.assign(List.of(Broker.at(topic, 0)));
            var got = Broker.read(consumer, sent.size());
            for (int i = 0; i < sent.size(); i++) {
                var record = got.get(i);
                assertEquals(i, record.offset());
                assertArrayEquals(sent.get(i).key(), record.key());
                assertArrayEquals(sent.get(i).value(), record.value());
                assertEquals(sent.get(i).headers(), record.headers());
                assertEquals(TimestampType.CREATE_TIME, record.timestampType());
                if (i < 500) assertEquals(sent.get(i).timestamp(), record.timestamp());
                assertEquals(0, record.leaderEpoch().orElse(-1));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"gzip", "snappy", "lz4", "zstd", "uncompressed"})
    void theTopicsOwnCodecWins(String codec) throws Exception {
        var topic = Broker.createTopic(1, "compression.type", codec);
        try (var producer = Broker.producer("compression.type", codec.equals("gzip") ? "zstd" : "gzip")) {
            for (int i = 0; i < 50; i++) producer.send(new ProducerRecord<>(topic, "same value again and again"));
        }
        try (var consumer = Broker.consumer()) {
            consumer.assign(List.of(Broker.at(topic, 0)));
            var got = Broker.read(consumer, 50);
            for (int i = 0; i < 50; i++) {
                assertEquals(i, got.get(i).offset());
                assertEquals("same value again and again", got.get(i).value());
            }
        }
    }

    @Test
    void aKeyKeepsItsPartitionAndKeysSpread() throws Exception {
        var topic = Broker.createTopic(6);
        var homes = new HashMap<String, Integer>();
        try (var producer = Broker.producer()) {
            for (int i = 0; i < 100; i++) {
                var key = "key-" + i % 50;
                var home = producer.send(new ProducerRecord<>(topic, key, "x")).get().partition();
                assertEquals(homes.computeIfAbsent(key, k -> home), home);
            }
            assertEquals(6, producer.partitionsFor(topic).size());
        }
        assertEquals(Set.of(0, 1, 2, 3, 4, 5), new HashSet<>(homes.values()));
        assertEquals(List.of(1, 0, 2, 5), List.of(homes.get("key-0"), homes.get("key-1"), homes.get("key-2"), homes.get("key-3")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "1", "all"})
    void eachLevelOfAcks(String acks) throws Exception {
        var topic = Broker.createTopic(1);
        try (var producer = Broker.producer("acks", acks, "enable.idempotence", "false")) {
            for (int i = 0; i < 50; i++) {
                var answer = producer.send(new ProducerRecord<>(topic, "x")).get();
                assertEquals(acks.equals("0") ? -1 : i, answer.offset());
            }
        }
        try (var consumer = Broker.consumer()) {
            consumer.assign(List.of(Broker.at(topic, 0)));
            assertEquals(50, Broker.read(consumer, 50).size());
        }
    }

    @Test
    void anIdempotentProducerKeepsOrderWithFiveRequestsInFlight() throws Exception {
        var topic = Broker.createTopic(1);
        try (var producer = Broker.producer("batch.size", "200", "linger.ms", "0")) {
            for (int i = 0; i < 5000; i++) producer.send(new ProducerRecord<>(topic, Integer.toString(i)));
        }
        try (var consumer = Broker.consumer(); var admin = Broker.admin()) {
            consumer.assign(List.of(Broker.at(topic, 0)));
            var got = Broker.read(consumer, 5000);
            for (int i = 0; i < 5000; i++) assertEquals(Integer.toString(i), got.get(i).value());
            var producers = Broker.get(admin.describeProducers(List.of(Broker.at(topic, 0))).partitionResult(Broker.at(topic, 0)));
            assertEquals(List.of(4999), producers.activeProducers().stream().map(p -> p.lastSequence()).toList());
        }
    }

    @Test
    void theBrokerStampsLogAppendTime() throws Exception {
        var topic = Broker.createTopic(1, "message.timestamp.type", "LogAppendTime");
        var before = System.currentTimeMillis();
        try (var producer = Broker.producer(); var consumer = Broker.consumer()) {
            var answer = producer.send(new ProducerRecord<>(topic, 0, 5L, "k", "v")).get();
            consumer.assign(List.of(Broker.at(topic, 0)));
            var record = Broker.read(consumer, 1).get(0);
            assertEquals(TimestampType.LOG_APPEND_TIME, record.timestampType());
            assertTrue(record.timestamp() >= before - 1000, "stamped now");
            assertEquals(record.timestamp(), answer.timestamp());
        }
    }

    @Test
    void bigRecordsPassAndTooBigOnesAreRefused() throws Exception {
        var topic = Broker.createTopic(1);
        var small = Broker.createTopic(1, "max.message.bytes", "2000");
        try (var producer = Broker.bytesProducer("max.request.size", "3000000"); var consumer = Broker.bytesConsumer("max.partition.fetch.bytes", "1000")) {
            // 1,048,588 is the limit on a whole batch, and this is exactly that: 61 bytes of batch
            // header and 11 of record framing go on top of the value.
            var largest = new byte[1_048_588 - 61 - 11];
            assertEquals(0, producer.send(new ProducerRecord<>(topic, largest)).get().offset());
            assertEquals(RecordTooLargeException.class, Broker.refusal(producer.send(new ProducerRecord<>(topic, new byte[largest.length + 1]))));
            assertEquals(1, producer.send(new ProducerRecord<>(topic, largest)).get().offset());
            assertEquals(RecordTooLargeException.class, Broker.refusal(producer.send(new ProducerRecord<>(small, new byte[2000]))));
            consumer.assign(List.of(Broker.at(topic, 0)));
            for (var record : Broker.read(consumer, 2)) assertEquals(largest.length, record.value().length);
        }
    }

    @Test
    void refusalsHaveTheirClasses() throws Exception {
        try (var producer = Broker.producer(); var hasty = Broker.producer("max.block.ms", "1000")) {
            assertEquals(InvalidTopicException.class, Broker.refusal(producer.send(new ProducerRecord<>("no spaces allowed", "x"))));
            var topic = Broker.createTopic(1);
            assertEquals(TimeoutException.class, Broker.refusal(hasty.send(new ProducerRecord<>(topic, 7, "k", "no such partition"))));
            var future = System.currentTimeMillis() + TimeUnit.HOURS.toMillis(2);
            assertEquals(InvalidTimestampException.class, Broker.refusal(producer.send(new ProducerRecord<>(topic, 0, future, "k", "v"))));
            var strict = Broker.createTopic(1, "message.timestamp.before.max.ms", "1000");
            assertEquals(InvalidTimestampException.class, Broker.refusal(producer.send(new ProducerRecord<>(strict, 0, 5L, "k", "v"))));
            var compacted = Broker.createTopic(1, "cleanup.policy", "compact");
            assertThrows(Exception.class, () -> producer.send(new ProducerRecord<>(compacted, "without a key")).get());
            assertEquals(0, producer.send(new ProducerRecord<>(compacted, "key", "v")).get().offset());
            // One bad request does not spoil the producer.
            assertEquals(0, producer.send(new ProducerRecord<>(topic, "fine")).get().offset());
        }
    }

    @Test
    void producingCreatesATopic() throws Exception {
        var topic = Broker.fresh("auto");
        try (var producer = Broker.producer(); var admin = Broker.admin()) {
            assertEquals(0, producer.send(new ProducerRecord<>(topic, "first")).get().offset());
            var described = Broker.get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
            assertEquals(1, described.partitions().size());
        }
    }

    @Test
    void oneReplicaSatisfiesAnyMinimum() throws Exception {
        var topic = Broker.createTopic(1, "min.insync.replicas", "2");
        try (var producer = Broker.producer("acks", "all")) {
            assertEquals(0, producer.send(new ProducerRecord<>(topic, "the minimum is capped by the replicas")).get().offset());
        }
    }

    @Test
    void manyTopicsInOneRequest() throws Exception {
        var topics = new ArrayList<String>();
        for (int i = 0; i < 5; i++) topics.add(Broker.createTopic(3));
        var ends = new HashMap<String, Long>();
        try (var producer = Broker.producer("linger.ms", "20")) {
            for (int i = 0; i < 300; i++) {
                var topic = topics.get(i % 5);
                producer.send(new ProducerRecord<>(topic, i % 3, null, "x"), (answer, error) -> {
                    assertNull(error);
                    synchronized (ends) { ends.merge(answer.topic() + answer.partition(), answer.offset(), Math::max); }
                });
            }
        }
        assertEquals(15, ends.size());
        assertEquals(Set.of(19L), new HashSet<>(ends.values()));
    }
}
