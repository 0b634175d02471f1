import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import kafka.admin.ConfigCommand;
import org.apache.kafka.tools.BrokerApiVersionsCommand;
import org.apache.kafka.tools.ClusterTool;
import org.apache.kafka.tools.ConsoleProducer;
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

    private static final List<Path> PLANS = new ArrayList<>();

    private Operate() {}

    /**
     * `all TOPIC` while every broker is up, `without ID TOPIC` after one of them has gone, `without-both TOPIC` after 4 and
     * 5 have; `add-voter PROPERTIES IDS` and `remove-voter PROPERTIES IDS` of the node with these settings, which leaves
     * these voters.
     */
    public static void main(String[] arguments) {
        int code = 0;
        try {
            switch (arguments[0]) {
                case "all" -> all(arguments[1]);
                case "without" -> without(arguments[1], arguments[2]);
                case "without-both" -> withoutBoth(arguments[1]);
                case "add-voter" -> addVoter(arguments[1], arguments[2]);
                case "remove-voter" -> removeVoter(arguments[1], arguments[2]);
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        } catch (Throwable failure) {
            Shell.say("FAILED " + String.join(" ", arguments) + ": " + failure);
            code = 1;
        }
        PLANS.forEach(file -> file.toFile().delete());
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
        Shell.run(TopicCommand.class, "--create", "--topic", topic + "-far", "--replica-assignment", "4:5");
        cluster();
        move(topic);
        resize(topic);
        cancel(topic);
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
        var plan = plan(topic, "0,\"replicas\":[4,2,3]", "1,\"replicas\":[3,1,5]");
        Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--execute", "--throttle", "100000000").shows("Successfully started");
        Shell.eventually(() -> Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--verify", "--preserve-throttles")
                .shows(topic + "-0 is completed", topic + "-1 is completed"));
        Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--verify").shows("Clearing topic-level throttles");
        Shell.run(ReassignPartitionsCommand.class, "--list").shows("No partition reassignments found");
        Shell.run(LeaderElectionCommand.class, "--election-type", "preferred", "--all-topic-partitions");
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic)
                .shows("Partition: 0\\s+Leader: 4\\s.*Replicas: 4,2,3\\s", "Partition: 1\\s+Leader: 3\\s.*Replicas: 3,1,5\\s"));
    }

    /** Fewer replicas, and more than before. */
    private static void resize(String topic) throws Exception {
        for (var replicas : new String[] {"5,2", "5,2,3,1", "5,2,3"}) {
            var plan = plan(topic, "2,\"replicas\":[" + replicas + "]");
            Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--execute").shows("Successfully started");
            Shell.eventually(() -> Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--verify").shows(topic + "-2 is completed"));
            Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic).shows("Partition: 2\\s.*Replicas: " + replicas + "\\s.*Isr: [1235,]{" + replicas.length() + "}\\s"));
        }
    }

    /** Moves that would take for ever, at a byte a second, one from each kind; called off, all is as before. */
    private static void cancel(String topic) throws Exception {
        Shell.feed(("x".repeat(1000) + "\n").repeat(30_000), ConsoleProducer.class, "--topic", topic);
        var plan = plan(topic, "0,\"replicas\":[4,2,1]", "1,\"replicas\":[3,1,4]");
        Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--execute", "--throttle", "1").shows("Successfully started");
        Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--verify", "--preserve-throttles").shows(topic + "-0 is still in progress", topic + "-1 is still in progress");
        Shell.run(ReassignPartitionsCommand.class, "--list").shows("^" + topic + "-0: replicas: 4,2,1,3\\. adding: 1\\. removing: 3\\.", "^" + topic + "-1: replicas: 3,1,4,5\\. adding: 4\\. removing: 5\\.");
        Shell.run(ReassignPartitionsCommand.class, "--reassignment-json-file", plan, "--cancel").shows("Successfully cancelled");
        Shell.run(ReassignPartitionsCommand.class, "--list").shows("No partition reassignments found");
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic)
                .shows("Partition: 0\\s.*Replicas: 4,2,3\\s", "Partition: 1\\s.*Replicas: 3,1,5\\s"));
    }

    /** A file for the tool, which goes when this program ends. */
    private static String plan(String topic, String... partitions) throws Exception {
        var places = Stream.of(partitions).map(place -> "{\"topic\":\"" + topic + "\",\"partition\":" + place + "}");
        var file = Files.createTempFile("plan", ".json");
        Files.writeString(file, "{\"version\":1,\"partitions\":[" + places.collect(Collectors.joining(",")) + "]}");
        PLANS.add(file);
        return file.toString();
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

    /** One replica of three is left of partition 3, none of the far topic. A broker that does not come back is forgotten. */
    private static void withoutBoth(String topic) {
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--under-min-isr-partitions", "--topic", topic).shows("Partition: 3\\s.*Isr: 2\\s").hides("Partition: 0\\s"));
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--unavailable-partitions").shows(topic + "-far\\s+Partition: 0\\s+Leader: none").hides("Topic: " + topic + "\\s"));
        String[] endpoints = {"list-endpoints", "--include-fenced-brokers", "--bootstrap-server", Shell.BOOTSTRAP};
        Shell.runAsGiven(ClusterTool.class, endpoints).shows("^4\\s.*fenced", "^5\\s.*fenced");
        Shell.runAsGiven(ClusterTool.class, "unregister", "--id", "5", "--bootstrap-server", Shell.BOOTSTRAP).shows("Broker 5 is no longer registered");
        Shell.eventually(() -> Shell.runAsGiven(ClusterTool.class, endpoints).hides("^5\\s"));
    }

    private static void addVoter(String properties, String voters) {
        Shell.eventually(() -> Shell.run(MetadataQuorumCommand.class, "--command-config", properties, "add-controller").shows("Added controller"));
        voters(voters);
    }

    private static void removeVoter(String properties, String voters) throws Exception {
        var settings = load(Path.of(properties));
        var identity = load(Path.of(settings.getProperty("log.dirs"), "meta.properties"));
        Shell.run(MetadataQuorumCommand.class, "remove-controller", "--controller-id", settings.getProperty("node.id"),
                "--controller-directory-id", identity.getProperty("directory.id")).shows("Removed\\s+KRaft controller");
        voters(voters);
    }

    private static void voters(String ids) {
        var listed = Stream.of(ids.split(",")).map(id -> "\\{\"id\": " + id + ",[^{]*").collect(Collectors.joining());
        Shell.eventually(() -> Shell.run(MetadataQuorumCommand.class, "describe", "--status").shows("CurrentVoters:\\s+\\[" + listed + "\\]"));
    }

    private static Properties load(Path file) throws Exception {
        var properties = new Properties();
        try (var reader = Files.newBufferedReader(file)) {
            properties.load(reader);
        }
        return properties;
    }
}
