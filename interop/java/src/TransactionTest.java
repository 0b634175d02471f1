import static org.junit.jupiter.api.Assertions.*;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.junit.jupiter.api.Test;

/** A transaction happens wholly or not at all, once, and never hangs. */
class TransactionTest {
    private static KafkaProducer<String, String> transactional(String id, String... config) {
        var all = new ArrayList<>(List.of("transactional.id", id));
        all.addAll(List.of(config));
        var producer = Broker.producer(all.toArray(String[]::new));
        producer.initTransactions();
        return producer;
    }

    private static void send(KafkaProducer<String, String> producer, String topic, int partition, String... values)
            throws Exception {
        for (var value : values) producer.send(new ProducerRecord<>(topic, partition, null, value)).get(20, TimeUnit.SECONDS);
    }

    private static KafkaConsumer<String, String> committed(String topic, int partitions) {
        return assigned(Broker.consumer("isolation.level", "read_committed"), topic, partitions);
    }

    private static KafkaConsumer<String, String> assigned(KafkaConsumer<String, String> consumer, String topic, int partitions) {
        var all = new ArrayList<org.apache.kafka.common.TopicPartition>();
        for (int i = 0; i < partitions; i++) all.add(Broker.at(topic, i));
        consumer.assign(all);
        return consumer;
    }

    private static List<String> values(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    private static void nothingComes(KafkaConsumer<String, String> consumer) {
        assertEquals(0, consumer.poll(Duration.ofMillis(300)).count());
    }

    private static TransactionState stateOf(String id) throws Exception {
        try (var admin = Broker.admin()) {
            return Broker.get(admin.describeTransactions(List.of(id)).description(id)).state();
        }
    }

    @Test
    void whatIsCommittedIsReadTogetherAndWhatIsAbortedNever() throws Exception {
        var topic = Broker.createTopic(2);
        try (var producer = transactional(Broker.fresh("id")); var reader = committed(topic, 2);
                var impatient = assigned(Broker.consumer(), topic, 2)) {
            producer.beginTransaction();
            send(producer, topic, 0, "a");
            send(producer, topic, 1, "b");
            assertEquals(2, Broker.read(impatient, 2).size());
            nothingComes(reader);
            producer.commitTransaction();
            assertEquals(new HashSet<>(List.of("a", "b")), new HashSet<>(values(Broker.read(reader, 2))));

            producer.beginTransaction();
            send(producer, topic, 0, "never");
            send(producer, topic, 1, "never");
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, topic, 0, "c");
            producer.commitTransaction();
            assertEquals(List.of("c"), values(Broker.read(reader, 1)));
            nothingComes(reader);
            assertEquals(3, Broker.read(impatient, 3).size());
            // a, its marker, never, its marker, c, its marker
            assertEquals(6, reader.position(Broker.at(topic, 0)));
        }
    }

    @Test
    void readersWaitForTheEarliestOpenTransaction() throws Exception {
        var topic = Broker.createTopic(1);
        var place = Broker.at(topic, 0);
        try (var slow = transactional(Broker.fresh("slow")); var quick = transactional(Broker.fresh("quick"));
                var plain = Broker.producer(); var reader = committed(topic, 1);
                var impatient = assigned(Broker.consumer(), topic, 1)) {
            slow.beginTransaction();
            send(slow, topic, 0, "slow");
            quick.beginTransaction();
            send(quick, topic, 0, "quick");
            quick.commitTransaction();
            quick.beginTransaction();
            send(quick, topic, 0, "aborted");
            quick.abortTransaction();
            send(plain, topic, 0, "plain");
            nothingComes(reader);
            assertEquals(Map.of(place, 0L), reader.endOffsets(List.of(place)));
            assertEquals(Map.of(place, 6L), impatient.endOffsets(List.of(place)));
            slow.commitTransaction();
            assertEquals(List.of("slow", "quick", "plain"), values(Broker.read(reader, 3)));
            Broker.await("everything is stable", () -> reader.endOffsets(List.of(place)).get(place) == 7);
        }
    }

    @Test
    void thereIsOneProducerForAnId() throws Exception {
        var topic = Broker.createTopic(1);
        var id = Broker.fresh("id");
        try (var zombie = transactional(id); var reader = committed(topic, 1)) {
            zombie.beginTransaction();
            send(zombie, topic, 0, "zombie's");
            try (var next = transactional(id)) {
                next.beginTransaction();
                send(next, topic, 0, "next one's");
                assertThrows(ProducerFencedException.class, zombie::commitTransaction);
                next.commitTransaction();
                assertEquals(List.of("next one's"), values(Broker.read(reader, 1)));
            }
        }
    }

    @Test
    void aTransactionEndsByTimeOutWhateverBecomesOfItsProducer() throws Exception {
        var topic = Broker.createTopic(1);
        var id = Broker.fresh("id");
        try (var producer = transactional(id, "transaction.timeout.ms", "1000"); var reader = committed(topic, 1);
                var plain = Broker.producer()) {
            producer.beginTransaction();
            send(producer, topic, 0, "too late");
            send(plain, topic, 0, "behind it");
            assertEquals(List.of("behind it"), values(Broker.read(reader, 1)));
            Broker.await("the abort is complete", () -> {
                try {
                    return stateOf(id) == TransactionState.COMPLETE_ABORT;
                } catch (Exception unknown) {
                    return false;
                }
            });
            assertThrows(KafkaException.class, producer::commitTransaction);
        }
        try (var next = transactional(id); var reader = committed(topic, 1)) {
            next.beginTransaction();
            send(next, topic, 0, "again");
            next.commitTransaction();
            assertEquals(List.of("behind it", "again"), values(Broker.read(reader, 2)));
        }
    }

    @Test
    void offsetsAreCommittedWithWhatWasMadeOfTheRecords() throws Exception {
        var source = Broker.createTopic(1);
        var target = Broker.createTopic(1);
        var group = Broker.fresh("group");
        Broker.fill(source, 0, 20, 1);
        var place = Broker.at(source, 0);
        try (var producer = transactional(Broker.fresh("id"));
                var consumer = Broker.consumer("group.id", group, "max.poll.records", "10", "isolation.level", "read_committed");
                var reader = committed(target, 1)) {
            consumer.subscribe(List.of(source));
            var first = Broker.read(consumer, 10);
            producer.beginTransaction();
            for (var record : first) producer.send(new ProducerRecord<>(target, 0, null, "x" + record.value()));
            producer.sendOffsetsToTransaction(Map.of(place, new OffsetAndMetadata(10)), consumer.groupMetadata());
            producer.abortTransaction();
            Broker.await("nothing is committed", () -> {
                var found = consumer.committed(Set.of(place));
                return found.get(place) == null;
            });

            producer.beginTransaction();
            for (var record : first) producer.send(new ProducerRecord<>(target, 0, null, "y" + record.value()));
            producer.sendOffsetsToTransaction(Map.of(place, new OffsetAndMetadata(10, "half")), consumer.groupMetadata());
            producer.commitTransaction();
            Broker.await("the offset counts", () -> {
                var found = consumer.committed(Set.of(place)).get(place);
                return found != null && found.offset() == 10 && found.metadata().equals("half");
            });
            var made = values(Broker.read(reader, 10));
            assertEquals(first.stream().map(record -> "y" + record.value()).toList(), made);
        }
    }

    @Test
    void aMemberThatTheGroupHasLeftBehindCommitsNothing() throws Exception {
        var source = Broker.createTopic(1);
        var group = Broker.fresh("group");
        Broker.fill(source, 0, 5, 1);
        try (var producer = transactional(Broker.fresh("id")); var consumer = Broker.consumer("group.id", group);
                var other = Broker.consumer("group.id", group)) {
            consumer.subscribe(List.of(source));
            Broker.read(consumer, 5);
            var past = consumer.groupMetadata();
            other.subscribe(List.of(source));
            Broker.await("both are members", () -> {
                consumer.poll(Duration.ofMillis(50));
                other.poll(Duration.ofMillis(50));
                return consumer.groupMetadata().generationId() > past.generationId();
            });
            producer.beginTransaction();
            var offsets = Map.of(Broker.at(source, 0), new OffsetAndMetadata(5));
            assertThrows(CommitFailedException.class, () -> producer.sendOffsetsToTransaction(offsets, past));
            producer.abortTransaction();
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            producer.commitTransaction();
        }
    }

    @Test
    void afterAnErrorTheTransactionIsAbortedAndTheProducerGoesOn() throws Exception {
        var topic = Broker.createTopic(1, "max.message.bytes", "1000");
        try (var producer = transactional(Broker.fresh("id")); var reader = committed(topic, 1)) {
            producer.beginTransaction();
            send(producer, topic, 0, "small");
            var refused = Broker.refusal(producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(5000))));
            assertEquals(RecordTooLargeException.class, refused);
            assertThrows(KafkaException.class, producer::commitTransaction);
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, topic, 0, "again");
            producer.commitTransaction();
            assertEquals(List.of("again"), values(Broker.read(reader, 1)));
        }
    }

    @Test
    void idsAreListedByAPatternOfTheWholeId() throws Exception {
        var stem = Broker.fresh("listed");
        try (var one = transactional(stem + "-1"); var two = transactional(stem + "-2"); var other = transactional(stem + "-x");
                var admin = Broker.admin()) {
            assertEquals(Set.of(stem + "-1", stem + "-2"), listed(admin, stem + "-[0-9]"));
            assertEquals(Set.of(stem + "-1", stem + "-2", stem + "-x"), listed(admin, stem + ".*"));
            assertEquals(Set.of(stem + "-x"), listed(admin, "(?i)" + stem.toUpperCase(Locale.ROOT) + "-(1a|x)"));
            assertEquals(Set.of(), listed(admin, stem));
            assertTrue(listed(admin, "").contains(stem + "-1"));
            for (var none : List.of("(", "a)(b", "*", "(a)\\1", "[b-a]")) {
                assertEquals(InvalidRegularExpression.class, Broker.refusal(admin.listTransactions(new ListTransactionsOptions().filterOnTransactionalIdPattern(none)).all()), none);
            }
        }
    }

    private static Set<String> listed(Admin admin, String pattern) throws Exception {
        var options = new ListTransactionsOptions().filterOnTransactionalIdPattern(pattern);
        return Broker.get(admin.listTransactions(options).all()).stream().map(TransactionListing::transactionalId).collect(Collectors.toSet());
    }

    @Test
    void anEmptyTransactionIsOne() {
        try (var producer = transactional(Broker.fresh("id"))) {
            producer.beginTransaction();
            producer.commitTransaction();
            producer.beginTransaction();
            producer.abortTransaction();
        }
    }

    @Test
    void manySmallTransactionsAreCountedExactly() throws Exception {
        var topic = Broker.createTopic(3);
        var expected = new ArrayList<String>();
        try (var producer = transactional(Broker.fresh("id"), "linger.ms", "0")) {
            for (int n = 0; n < 200; n++) {
                producer.beginTransaction();
                for (int i = 0; i < 3; i++) producer.send(new ProducerRecord<>(topic, (n + i) % 3, null, n + "-" + i));
                if (n % 4 == 3) {
                    producer.abortTransaction();
                } else {
                    for (int i = 0; i < 3; i++) expected.add(n + "-" + i);
                    producer.commitTransaction();
                }
            }
        }
        try (var reader = committed(topic, 3)) {
            var got = new ArrayList<>(values(Broker.read(reader, expected.size())));
            nothingComes(reader);
            got.sort(null);
            expected.sort(null);
            assertEquals(expected, got);
        }
    }

    @Test
    void administratorsSeeWhoHoldsATransactionOpenAndEndIt() throws Exception {
        var topic = Broker.createTopic(1);
        var id = Broker.fresh("id");
        var place = Broker.at(topic, 0);
        try (var admin = Broker.admin(); var producer = transactional(id); var reader = committed(topic, 1)) {
            producer.beginTransaction();
            send(producer, topic, 0, "open");
            var described = Broker.get(admin.describeTransactions(List.of(id)).description(id));
            assertEquals(TransactionState.ONGOING, described.state());
            assertEquals(Set.of(place), described.topicPartitions());
            var listed = Broker.get(admin.listTransactions().all());
            assertTrue(listed.stream().anyMatch(it -> it.transactionalId().equals(id) && it.state() == TransactionState.ONGOING));
            var active = Broker.get(admin.describeProducers(List.of(place)).partitionResult(place)).activeProducers();
            assertEquals(1, active.size());
            var state = active.get(0);
            assertEquals(described.producerId(), state.producerId());
            assertEquals(0, state.currentTransactionStartOffset().getAsLong());

            Broker.get(admin.fenceProducers(List.of(id)).all());
            assertThrows(KafkaException.class, producer::commitTransaction);
            Broker.await("it is aborted", () -> reader.endOffsets(List.of(place)).get(place) == 2);
            nothingComes(reader);
        }
    }

    @Test
    void aHangingTransactionIsAbortedOnItsPartition() throws Exception {
        var topic = Broker.createTopic(1);
        var place = Broker.at(topic, 0);
        try (var admin = Broker.admin(); var producer = transactional(Broker.fresh("id")); var reader = committed(topic, 1)) {
            producer.beginTransaction();
            send(producer, topic, 0, "hangs");
            var state = Broker.get(admin.describeProducers(List.of(place)).partitionResult(place)).activeProducers().get(0);
            var coordinator = Math.max(0, state.coordinatorEpoch().orElse(0));
            var spec = new AbortTransactionSpec(place, state.producerId(), (short) state.producerEpoch(), coordinator);
            Broker.get(admin.abortTransaction(spec).all());
            Broker.await("readers pass it", () -> reader.endOffsets(List.of(place)).get(place) == 2);
            nothingComes(reader);
            producer.abortTransaction();
        }
    }
}
