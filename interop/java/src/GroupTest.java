import static org.junit.jupiter.api.Assertions.*;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InconsistentGroupProtocolException;
import org.apache.kafka.common.errors.InvalidSessionTimeoutException;
import org.apache.kafka.common.errors.OffsetMetadataTooLarge;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Members share the partitions of a topic, leave, come back, and are fenced. */
class GroupTest {
    /** One consumer on its own thread, as each member of a real group has. */
    private static final class Member implements ConsumerRebalanceListener, AutoCloseable {
        final Set<Integer> owned = java.util.concurrent.ConcurrentHashMap.newKeySet();
        final ConcurrentLinkedQueue<Integer> values = new ConcurrentLinkedQueue<>();
        final AtomicInteger assignments = new AtomicInteger();
        final AtomicInteger lost = new AtomicInteger();
        final CompletableFuture<Void> ended = new CompletableFuture<>();
        private volatile boolean leaving;

        Member(String group, String topic, String... config) {
            var all = new ArrayList<>(List.of("group.id", group, "session.timeout.ms", "6000", "heartbeat.interval.ms", "200"));
            all.addAll(List.of(config));
            var consumer = Broker.consumer(all.toArray(String[]::new));
            consumer.subscribe(List.of(topic), this);
            new Thread(() -> run(consumer)).start();
        }

        private void run(KafkaConsumer<String, String> consumer) {
            try (consumer) {
                while (!leaving) {
                    for (var record : consumer.poll(Duration.ofMillis(50))) values.add(Integer.valueOf(record.value()));
                }
                ended.complete(null);
            } catch (Throwable error) {
                ended.completeExceptionally(error);
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            assignments.incrementAndGet();
            partitions.forEach(partition -> owned.add(partition.partition()));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(partition -> owned.remove(partition.partition()));
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            lost.incrementAndGet();
            onPartitionsRevoked(partitions);
        }

        @Override
        public void close() throws Exception {
            leaving = true;
            ended.get(20, TimeUnit.SECONDS);
        }
    }

    /** Each partition has exactly one owner, and everyone has a share. */
    private static boolean sharedFairly(List<Member> members, int partitions) {
        var all = new ArrayList<Integer>();
        for (var member : members) {
            if (member.owned.isEmpty()) return false;
            all.addAll(member.owned);
        }
        return all.size() == partitions && new HashSet<>(all).size() == partitions;
    }

    private static Set<Integer> numbers(int from, int to) {
        return IntStream.range(from, to).boxed().collect(java.util.stream.Collectors.toSet());
    }

    @ParameterizedTest
    @ValueSource(classes = {RangeAssignor.class, RoundRobinAssignor.class, StickyAssignor.class, CooperativeStickyAssignor.class})
    void membersShareLeaveAndResume(Class<?> assignor) throws Exception {
        var topic = Broker.createTopic(6);
        var group = Broker.fresh("group");
        String[] config = {"partition.assignment.strategy", assignor.getName(), "enable.auto.commit", "true", "auto.commit.interval.ms", "100000"};
        var members = new ArrayList<Member>();
        for (int i = 0; i < 3; i++) members.add(new Member(group, topic, config));
        Broker.await("three share six partitions", () -> sharedFairly(members, 6));
        Broker.fill(topic, 0, 60, 6);
        Broker.await("all is read", () -> members.stream().mapToInt(member -> member.values.size()).sum() >= 60);

        members.remove(2).close(); // leaves, and commits by itself
        Broker.await("two share six partitions", () -> sharedFairly(members, 6));
        Broker.fill(topic, 60, 120, 6);
        Broker.await("the rest is read", () -> members.stream().mapToInt(member -> member.values.size()).sum() >= 100);
        for (var member : members) member.close();

        Broker.fill(topic, 120, 126, 6);
        try (var late = new Member(group, topic, config)) {
            Broker.await("six more are read", () -> late.values.size() >= 6);
            assertEquals(numbers(120, 126), new HashSet<>(late.values), "what was committed is not delivered again");
            assertEquals(6, late.values.size());
        }
    }

    @Test
    void cooperativeMembersKeepWhatTheyHave() throws Exception {
        var topic = Broker.createTopic(4);
        var group = Broker.fresh("group");
        String[] config = {"partition.assignment.strategy", CooperativeStickyAssignor.class.getName()};
        try (var first = new Member(group, topic, config)) {
            Broker.await("one owns all", () -> first.owned.size() == 4);
            try (var second = new Member(group, topic, config)) {
                Broker.await("two share", () -> sharedFairly(List.of(first, second), 4));
                assertEquals(2, second.owned.size());
                assertEquals(0, first.lost.get());
            }
            Broker.await("one owns all again", () -> first.owned.size() == 4);
        }
    }

    @Test
    void aStaticMemberComesBackUnnoticed() throws Exception {
        var topic = Broker.createTopic(4);
        var group = Broker.fresh("group");
        try (var stayer = new Member(group, topic, "group.instance.id", "stayer")) {
            var bouncer = new Member(group, topic, "group.instance.id", "bouncer");
            Broker.await("two share", () -> sharedFairly(List.of(stayer, bouncer), 4));
            var before = Set.copyOf(bouncer.owned);
            var noticed = stayer.assignments.get();
            bouncer.close();
            try (var back = new Member(group, topic, "group.instance.id", "bouncer"); var admin = Broker.admin()) {
                Broker.await("it is back", () -> !back.owned.isEmpty());
                assertEquals(before, back.owned);
                assertEquals(noticed, stayer.assignments.get(), "no rebalance");
                var members = Broker.get(admin.describeConsumerGroups(List.of(group)).all()).get(group).members();
                assertEquals(Set.of("stayer", "bouncer"), members.stream().map(m -> m.groupInstanceId().orElseThrow()).collect(java.util.stream.Collectors.toSet()));
            }
            try (var admin = Broker.admin()) { // it closed without leaving; now it is made to leave
                Broker.get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("bouncer")))).all());
                Broker.await("the stayer owns all", () -> stayer.owned.size() == 4);
            }
        }
    }

    @Test
    void theElderOfTwoWithOneStaticIdIsFenced() throws Exception {
        var topic = Broker.createTopic(1);
        var group = Broker.fresh("group");
        var elder = new Member(group, topic, "group.instance.id", "twin");
        Broker.await("the elder owns it", () -> elder.owned.size() == 1);
        try (var younger = new Member(group, topic, "group.instance.id", "twin")) {
            Broker.await("the younger owns it", () -> younger.owned.size() == 1);
            var error = assertThrows(java.util.concurrent.ExecutionException.class, () -> elder.ended.get(20, TimeUnit.SECONDS));
            assertEquals(FencedInstanceIdException.class, error.getCause().getClass());
        }
    }

    @Test
    void aMemberThatDoesNotPollIsReplacedAndCannotCommit() throws Exception {
        var topic = Broker.createTopic(1);
        var group = Broker.fresh("group");
        try (var slow = Broker.consumer("group.id", group, "max.poll.interval.ms", "1000", "session.timeout.ms", "6000", "heartbeat.interval.ms", "200")) {
            slow.subscribe(List.of(topic));
            while (slow.assignment().isEmpty()) slow.poll(Duration.ofMillis(50));
            try (var other = new Member(group, topic)) {
                Broker.await("the other takes over", () -> other.owned.size() == 1);
                var offset = Map.of(Broker.at(topic, 0), new OffsetAndMetadata(1));
                assertThrows(CommitFailedException.class, () -> slow.commitSync(offset));
            }
        }
    }

    @Test
    void aSilentMemberExpiresWithItsSession() throws Exception {
        var topic = Broker.createTopic(2);
        var group = Broker.fresh("group");
        var silent = Broker.consumer("group.id", group, "session.timeout.ms", "6000", "heartbeat.interval.ms", "2000", "group.instance.id", "silent");
        silent.subscribe(List.of(topic));
        while (silent.assignment().isEmpty()) silent.poll(Duration.ofMillis(50));
        silent.close(); // a static member does not leave when it closes
        try (var other = new Member(group, topic)) {
            Broker.await("the other inherits", () -> other.owned.size() == 2);
        }
    }

    @Test
    void commitsAreKeptWithTheirMetadata() throws Exception {
        var topic = Broker.createTopic(2);
        var group = Broker.fresh("group");
        var first = Broker.at(topic, 0);
        var second = Broker.at(topic, 1);
        try (var consumer = Broker.consumer("group.id", group)) {
            consumer.assign(List.of(first, second));
            assertNull(consumer.committed(Set.of(first)).get(first));
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(7, Optional.of(0), "why"), second, new OffsetAndMetadata(0)));
            assertEquals(new OffsetAndMetadata(7, Optional.of(0), "why"), consumer.committed(Set.of(first)).get(first));
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(3)));
            assertEquals(new OffsetAndMetadata(3), consumer.committed(Set.of(first)).get(first), "back is allowed");
            assertThrows(OffsetMetadataTooLarge.class, () -> consumer.commitSync(Map.of(first, new OffsetAndMetadata(8, "x".repeat(4097)))));
            assertEquals(3, consumer.committed(Set.of(first)).get(first).offset());
        }
    }

    @Test
    void joiningIsRefusedByClass() throws Exception {
        var topic = Broker.createTopic(1);
        var group = Broker.fresh("group");
        try (var member = new Member(group, topic, "partition.assignment.strategy", RangeAssignor.class.getName())) {
            Broker.await("a member", () -> member.owned.size() == 1);
            var other = new Member(group, topic, "partition.assignment.strategy", StickyAssignor.class.getName());
            var error = assertThrows(java.util.concurrent.ExecutionException.class, () -> other.ended.get(20, TimeUnit.SECONDS));
            assertEquals(InconsistentGroupProtocolException.class, error.getCause().getClass());
        }
        var hasty = new Member(Broker.fresh("group"), topic, "session.timeout.ms", "1000", "heartbeat.interval.ms", "300");
        var error = assertThrows(java.util.concurrent.ExecutionException.class, () -> hasty.ended.get(20, TimeUnit.SECONDS));
        assertEquals(InvalidSessionTimeoutException.class, error.getCause().getClass());
    }

    @Test
    void aTopicThatGrowsIsSharedAnew() throws Exception {
        var topic = Broker.createTopic(2);
        try (var member = new Member(Broker.fresh("group"), topic, "metadata.max.age.ms", "300"); var admin = Broker.admin()) {
            Broker.await("two partitions", () -> member.owned.size() == 2);
            Broker.get(admin.createPartitions(Map.of(topic, org.apache.kafka.clients.admin.NewPartitions.increaseTo(4))).all());
            Broker.await("four partitions", () -> member.owned.size() == 4);
            Broker.fill(topic, 0, 8, 4);
            Broker.await("all is read", () -> member.values.size() == 8);
        }
    }
}
