import static org.junit.jupiter.api.Assertions.*;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A consumer that chooses its partitions itself. */
class ConsumerTest {
    private static final Duration SHORT = Duration.ofMillis(300);
    private static final long START = Broker.HOUR_AGO;

    private static TopicPartition hundredSeconds() throws Exception {
        var topic = Broker.createTopic(1);
        try (var producer = Broker.producer()) {
            for (int i = 0; i < 100; i++) producer.send(new ProducerRecord<>(topic, 0, START + 1000L * i, null, Integer.toString(i)));
        }
        return Broker.at(topic, 0);
    }

    @ParameterizedTest
    @ValueSource(strings = {"read_uncommitted", "read_committed"})
    void seekToOffsetsAndTimes(String isolation) throws Exception {
        var partition = hundredSeconds();
        try (var consumer = Broker.consumer("isolation.level", isolation)) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 95);
            assertEquals("95", Broker.read(consumer, 1).get(0).value());
            consumer.seek(partition, new OffsetAndMetadata(10, Optional.of(0), "with an epoch to validate"));
            assertEquals("10", Broker.read(consumer, 1).get(0).value());
            consumer.seekToBeginning(List.of(partition));
            assertEquals("0", Broker.read(consumer, 1).get(0).value());
            consumer.seekToEnd(List.of(partition));
            assertEquals(100, consumer.position(partition));
            assertTrue(consumer.poll(SHORT).isEmpty());

            var found = consumer.offsetsForTimes(Map.of(partition, START + 41_001)).get(partition);
            assertEquals(42, found.offset());
            assertEquals(START + 42_000, found.timestamp());
            assertEquals(Optional.of(0), found.leaderEpoch());
            assertNull(consumer.offsetsForTimes(Map.of(partition, START + 99_001)).get(partition));
            assertEquals(Map.of(partition, 0L), consumer.beginningOffsets(List.of(partition)));
            assertEquals(Map.of(partition, 100L), consumer.endOffsets(List.of(partition)));
        }
    }

    @Test
    void resetByDurationStartsAtATime() throws Exception {
        var topic = Broker.createTopic(1);
        var now = System.currentTimeMillis();
        try (var producer = Broker.producer(); var consumer = Broker.consumer("auto.offset.reset", "by_duration:PT1H")) {
            producer.send(new ProducerRecord<>(topic, 0, now - 7_200_000, null, "old"));
            producer.send(new ProducerRecord<>(topic, 0, now, null, "new")).get();
            consumer.assign(List.of(Broker.at(topic, 0)));
            assertEquals("new", Broker.read(consumer, 1).get(0).value());
        }
    }

    @Test
    void outOfRangeResetsOrFails() throws Exception {
        var partition = hundredSeconds();
        try (var consumer = Broker.consumer("auto.offset.reset", "latest")) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1000);
            assertTrue(consumer.poll(SHORT).isEmpty());
            Broker.await("a reset to the end", () -> { consumer.poll(SHORT); return consumer.position(partition) == 100; });
        }
        try (var consumer = Broker.consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1000);
            var error = assertThrows(OffsetOutOfRangeException.class, () -> { while (true) consumer.poll(SHORT); });
            assertEquals(Map.of(partition, 1000L), error.offsetOutOfRangePartitions());
        }
        try (var consumer = Broker.consumer("auto.offset.reset", "none", "group.id", Broker.fresh("group"))) {
            consumer.assign(List.of(partition));
            assertThrows(NoOffsetForPartitionException.class, () -> { while (true) consumer.poll(SHORT); });
        }
    }

    @Test
    void pausedPartitionsStayQuiet() throws Exception {
        var topic = Broker.createTopic(2);
        Broker.fill(topic, 0, 20, 2);
        try (var consumer = Broker.consumer()) {
            consumer.assign(List.of(Broker.at(topic, 0), Broker.at(topic, 1)));
            consumer.pause(List.of(Broker.at(topic, 1)));
            assertTrue(Broker.read(consumer, 10).stream().allMatch(record -> record.partition() == 0));
            assertTrue(consumer.poll(SHORT).isEmpty());
            consumer.resume(List.of(Broker.at(topic, 1)));
            assertEquals(10, Broker.read(consumer, 10).size());
            assertEquals(0, consumer.currentLag(Broker.at(topic, 1)).orElse(-1));
        }
    }

    @Test
    void aLongPollEndsWhenARecordArrives() throws Exception {
        var topic = Broker.createTopic(1);
        try (var consumer = Broker.consumer("fetch.max.wait.ms", "20000"); var producer = Broker.producer()) {
            consumer.assign(List.of(Broker.at(topic, 0)));
            assertTrue(consumer.poll(SHORT).isEmpty());
            var before = System.nanoTime();
            producer.send(new ProducerRecord<>(topic, "wake up")).get();
            assertEquals("wake up", Broker.read(consumer, 1).get(0).value());
            assertTrue(System.nanoTime() - before < 10_000_000_000L, "it did not wait for its time-out");
            consumer.close(CloseOptions.timeout(Duration.ZERO)); // else it would wait for the fetch in flight
        }
    }

    @Test
    void enoughBytesEndTheWaitAndFewDoNot() throws Exception {
        var topic = Broker.createTopic(1);
        Broker.fill(topic, 0, 1, 1);
        try (var consumer = Broker.consumer("fetch.min.bytes", "100000", "fetch.max.wait.ms", "1500")) {
            consumer.assign(List.of(Broker.at(topic, 0)));
            var before = System.nanoTime();
            Broker.read(consumer, 1);
            assertTrue(System.nanoTime() - before > 1_000_000_000L, "it waited for more bytes");
        }
    }

    @Test
    void smallLimitsStillReadEverything() throws Exception {
        var topic = Broker.createTopic(3);
        Broker.fill(topic, 0, 300, 3);
        try (var consumer = Broker.consumer("fetch.max.bytes", "1", "max.partition.fetch.bytes", "1", "max.poll.records", "7")) {
            consumer.assign(List.of(Broker.at(topic, 0), Broker.at(topic, 1), Broker.at(topic, 2)));
            var numbers = Broker.read(consumer, 300).stream().map(ConsumerRecord::value).map(Integer::valueOf).sorted().toList();
            for (int i = 0; i < 300; i++) assertEquals(i, numbers.get(i));
        }
    }

    @Test
    void anEmptyTopicAndAnAbsentOne() throws Exception {
        var topic = Broker.createTopic(1);
        try (var consumer = Broker.consumer("allow.auto.create.topics", "false")) {
            consumer.assign(List.of(Broker.at(topic, 0)));
            assertTrue(consumer.poll(SHORT).isEmpty());
            assertEquals(0, consumer.position(Broker.at(topic, 0)));
            var absent = Broker.fresh("absent");
            assertTrue(consumer.partitionsFor(absent).isEmpty());
            assertFalse(consumer.listTopics().containsKey(absent));
            assertTrue(consumer.listTopics().containsKey(topic));
            assertThrows(InvalidTopicException.class, () -> consumer.partitionsFor("no spaces allowed"));
        }
    }

    @Test
    void aPatternFollowsNewTopics() throws Exception {
        var stem = Broker.fresh("pattern");
        try (var consumer = Broker.consumer("group.id", Broker.fresh("group"), "metadata.max.age.ms", "300"); var producer = Broker.producer()) {
            consumer.subscribe(Pattern.compile(stem + "-.*"));
            producer.send(new ProducerRecord<>(stem + "-a", "a")).get();
            assertEquals("a", Broker.read(consumer, 1).get(0).value());
            consumer.commitSync();
            producer.send(new ProducerRecord<>(stem + "-b", "b")).get();
            assertEquals("b", Broker.read(consumer, 1).get(0).value());
        }
    }

    @Test
    void wakeupEndsAPoll() throws Exception {
        var topic = Broker.createTopic(1);
        try (var consumer = Broker.consumer()) {
            consumer.assign(List.of(Broker.at(topic, 0)));
            consumer.wakeup();
            assertThrows(WakeupException.class, () -> consumer.poll(Duration.ofSeconds(10)));
        }
    }
}
