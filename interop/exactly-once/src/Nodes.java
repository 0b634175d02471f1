import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/** What nodes that come and go are asked: a question that fails is asked again. */
final class Nodes {
    static final short COUNT = 3;
    private static final Set<TransactionState> ENDED = Set.of(TransactionState.EMPTY, TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT);

    private final Admin admin = Admin.create(Work.client(Map.of()));
    private final Work work;

    Nodes(Work work) {
        this.work = work;
    }

    private interface Question {
        boolean holds() throws ExecutionException, InterruptedException;
    }

    private void await(String what, Question question) throws Exception {
        work.await(what, () -> {
            try {
                return question.holds();
            } catch (ExecutionException passing) {
                return false;
            } catch (InterruptedException impossible) {
                throw new AssertionError(impossible);
            }
        });
    }

    void create(Collection<NewTopic> topics) throws Exception {
        // A broker listens before it is a member.
        await("every broker is a member", () -> admin.describeCluster().nodes().get().size() == COUNT);
        admin.createTopics(topics).all().get(Work.PATIENCE_SECONDS, TimeUnit.SECONDS);
    }

    /** Waits until every replica of every topic is in sync, of internal ones too. */
    void awaitWhole() throws Exception {
        await("every replica is in sync", () -> {
            var names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
            var topics = admin.describeTopics(names).allTopicNames().get().values();
            return topics.stream().flatMap(topic -> topic.partitions().stream()).allMatch(partition -> partition.isr().size() == COUNT);
        });
    }

    int quorumLeader() throws Exception {
        var leader = new int[1];
        await("the quorum has a leader", () -> {
            leader[0] = admin.describeMetadataQuorum().quorumInfo().get().leaderId();
            return leader[0] > 0;
        });
        return leader[0];
    }

    /** Waits until no coordinator knows of an open transaction, and no partition has one that none knows of. */
    void awaitQuiet(Collection<TopicPartition> partitions) throws Exception {
        await("every transaction ends", () -> {
            var transactions = admin.listTransactions().all().get();
            return transactions.stream().allMatch(it -> ENDED.contains(it.state()))
                    && ends(partitions, IsolationLevel.READ_COMMITTED).equals(ends(partitions, IsolationLevel.READ_UNCOMMITTED));
        });
    }

    /** Where they end for a reader of committed records. */
    Map<TopicPartition, Long> committedEnds(Collection<TopicPartition> partitions) throws ExecutionException, InterruptedException {
        return ends(partitions, IsolationLevel.READ_COMMITTED);
    }

    private Map<TopicPartition, Long> ends(Collection<TopicPartition> partitions, IsolationLevel level) throws ExecutionException, InterruptedException {
        var asked = partitions.stream().collect(Collectors.toMap(it -> it, it -> OffsetSpec.latest()));
        var answers = admin.listOffsets(asked, new ListOffsetsOptions(level)).all().get();
        return answers.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, it -> it.getValue().offset()));
    }
}
