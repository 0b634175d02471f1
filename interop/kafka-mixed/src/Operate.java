import java.nio.file.Files;
import java.util.stream.Stream;
import kafka.admin.ConfigCommand;
import org.apache.kafka.tools.BrokerApiVersionsCommand;
import org.apache.kafka.tools.ClusterTool;
import org.apache.kafka.tools.FeatureCommand;
import org.apache.kafka.tools.LeaderElectionCommand;
import org.apache.kafka.tools.LogDirsCommand;
import org.apache.kafka.tools.MetadataQuorumCommand;
import org.apache.kafka.tools.TopicCommand;
import org.apache.kafka.tools.reassign.ReassignPartitionsCommand;

/**
 * Kafka's tools at work on a cluster of both kinds, by way of the broker at $BOOTSTRAP: the controllers 1, 2 and 3 are
 * brokers too, 4 and 5 are brokers only.
 */
final class Operate {
    private static final String[] FILTERS = {"--under-replicated-partitions", "--at-min-isr-partitions", "--under-min-isr-partitions", "--unavailable-partitions"};

    private Operate() {}

    /** `all TOPIC` while every broker is up, `without ID TOPIC` after one of them has gone. */
    public static void main(String[] arguments) {
        int code = 0;
        try {
            switch (arguments[0]) {
                case "all" -> all(arguments[1]);
                case "without" -> without(arguments[1], arguments[2]);
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        } catch (Throwable failure) {
            Shell.say("FAILED " + String.join(" ", arguments) + ": " + failure);
            code = 1;
        }
        Shell.say(Shell.checks() + " checks passed");
        Runtime.getRuntime().halt(code); // the tools leave shutdown hooks behind
    }

    private static void all(String topic) throws Exception {
        // Each kind leads, and each follows the other.
        Shell.run(TopicCommand.class, "--create", "--topic", topic, "--replica-assignment", "1:4:5,4:1:2,5:2:3,2:5:4", "--config", "min.insync.replicas=2");
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic).shows(
                "Partition: 0\\s+Leader: 1\\s.*Isr: 1,4,5\\s", "Partition: 1\\s+Leader: 4\\s.*Isr: 4,1,2\\s",
                "Partition: 2\\s+Leader: 5\\s.*Isr: 5,2,3\\s", "Partition: 3\\s+Leader: 2\\s.*Isr: 2,5,4\\s"));
        for (var filter : FILTERS) Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", filter, "--topic", topic).hides(topic));
        Shell.run(TopicCommand.class, "--alter", "--topic", topic, "--partitions", "5");
        Shell.fails(TopicCommand.class, "--alter", "--topic", topic, "--partitions", "2").shows("InvalidPartitionsException");
        Shell.run(ConfigCommand.class, "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "retention.ms=123456789");
        Shell.eventually(() -> Shell.run(ConfigCommand.class, "--describe", "--entity-type", "topics", "--entity-name", topic).shows("retention.ms=123456789"));
        cluster();
        move(topic);
    }

    private static void cluster() {
        Shell.run(MetadataQuorumCommand.class, "describe", "--status").shows("LeaderId:\\s+[123]$",
                "CurrentVoters:.*\"id\": 1,.*\"id\": 2,.*\"id\": 3,", "CurrentObservers:.*\"id\": [45],.*\"id\": [45],");
        Shell.run(MetadataQuorumCommand.class, "describe", "--replication").shows("Leader", "Follower", "Follower", "^[45]\\s.*Observer", "^[45]\\s.*Observer");
        Shell.run(FeatureCommand.class, "describe").shows("metadata.version\\s.*FinalizedVersionLevel: 4.3-IV0");
        Shell.fails(FeatureCommand.class, "upgrade", "--feature", "no.such.feature=1").shows("no.such.feature");
        Shell.runAsGiven(ClusterTool.class, "cluster-id", "--bootstrap-server", Shell.BOOTSTRAP).shows("Cluster ID: \\S{22}");
        Shell.runAsGiven(ClusterTool.class, "list-endpoints", "--bootstrap-server", Shell.BOOTSTRAP).shows("^1\\s", "^2\\s", "^3\\s", "^4\\s", "^5\\s");
        Shell.run(LogDirsCommand.class, "--describe").shows("from brokers 1,2,3,4,5").hides("\"error\":\"");
        var versions = Shell.run(BrokerApiVersionsCommand.class);
        for (int id = 1; id <= 5; id++) versions.shows("\\(id: " + id + " rack: null isFenced: false\\) -> \\($");
    }

    /** One partition from one kind to the other, in both directions, and the leaders back where they belong. */
    private static void move(String topic) throws Exception {
        var file = Files.createTempFile("move", ".json");
        Files.writeString(file, "{\"version\":1,\"partitions\":[" + Stream.of("0,\"replicas\":[4,2,3]", "1,\"replicas\":[3,1,5]")
                .map(place -> "{\"topic\":\"" + topic + "\",\"partition\":" + place + "}").reduce((a, b) -> a + "," + b).orElseThrow() + "]}");
        var plan = file.toString();
        Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--execute", "--throttle", "100000000").shows("Successfully started");
        Shell.eventually(() -> Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--verify", "--preserve-throttles")
                .shows(topic + "-0 is completed", topic + "-1 is completed"));
        Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--verify").shows("Clearing topic-level throttles");
        Shell.run(ReassignPartitionsCommand.class, "--list").shows("No partition reassignments found");
        Files.delete(file);
        Shell.run(LeaderElectionCommand.class, "--election-type", "preferred", "--all-topic-partitions");
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic)
                .shows("Partition: 0\\s+Leader: 4\\s.*Replicas: 4,2,3\\s", "Partition: 1\\s+Leader: 3\\s.*Replicas: 3,1,5\\s"));
    }

    private static void without(String id, String topic) {
        var missing = "Replicas: (" + id + ",|\\d," + id + ",|\\d,\\d," + id + ")";
        for (var filter : new String[] {"--under-replicated-partitions", "--at-min-isr-partitions"}) {
            Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", filter, "--topic", topic).shows(missing));
        }
        for (var filter : new String[] {"--under-min-isr-partitions", "--unavailable-partitions"}) {
            Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", filter, "--topic", topic).hides(topic));
        }
    }
}
