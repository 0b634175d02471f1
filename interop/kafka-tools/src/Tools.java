import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.UUID;
import kafka.admin.ConfigCommand;
import org.apache.kafka.tools.BrokerApiVersionsCommand;
import org.apache.kafka.tools.ConsoleProducer;
import org.apache.kafka.tools.DeleteRecordsCommand;
import org.apache.kafka.tools.FeatureCommand;
import org.apache.kafka.tools.GetOffsetShell;
import org.apache.kafka.tools.GroupsCommand;
import org.apache.kafka.tools.LeaderElectionCommand;
import org.apache.kafka.tools.LogDirsCommand;
import org.apache.kafka.tools.MetadataQuorumCommand;
import org.apache.kafka.tools.TopicCommand;
import org.apache.kafka.tools.consumer.ConsoleConsumer;
import org.apache.kafka.tools.consumer.group.ConsumerGroupCommand;
import org.apache.kafka.tools.reassign.ReassignPartitionsCommand;

/** Kafka's command line tools, used as the people who operate a cluster use them. */
final class Tools {
    private interface Story {
        void tell() throws Exception;
    }

    public static void main(String[] arguments) {
        var stories = new LinkedHashMap<String, Story>();
        stories.put("topics", Tools::topics);
        stories.put("configs", Tools::configs);
        stories.put("console", Tools::console);
        stories.put("get-offsets", Tools::getOffsets);
        stories.put("groups", Tools::groups);
        stories.put("reset-offsets", Tools::resetOffsets);
        stories.put("delete-records", Tools::deleteRecords);
        stories.put("reassign", Tools::reassign);
        stories.put("cluster", Tools::cluster);
        int failed = 0;
        for (var story : stories.entrySet()) {
            try {
                var before = System.nanoTime();
                story.getValue().tell();
                Shell.say(String.format("%-16s ok %5d ms", story.getKey(), (System.nanoTime() - before) / 1_000_000));
            } catch (Throwable failure) {
                Shell.say("FAILED " + story.getKey() + ": " + failure);
                for (var frame : failure.getStackTrace()) if (frame.getClassName().equals("Tools")) Shell.say("    at " + frame);
                failed++;
            }
        }
        Shell.say(Shell.checks() + " checks passed");
        Runtime.getRuntime().halt(Math.min(failed, 1)); // the tools leave shutdown hooks behind
    }

    private static String fresh(String what) {
        return "tools-" + what + "-" + UUID.randomUUID().toString().substring(0, 8);
    }

    private static String create(int partitions) {
        var topic = fresh("topic");
        Shell.run(TopicCommand.class, "--create", "--topic", topic, "--partitions", "" + partitions, "--replication-factor", "1");
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic).shows("PartitionCount: " + partitions));
        return topic;
    }

    private static void fill(String topic, int count) {
        var lines = new StringBuilder();
        for (int i = 0; i < count; i++) lines.append(i).append('\n');
        Shell.feed(lines.toString(), ConsoleProducer.class, "--topic", topic);
    }

    private static void topics() {
        var topic = fresh("topic");
        Shell.run(TopicCommand.class, "--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=60000")
                .shows("Created topic " + topic);
        Shell.fails(TopicCommand.class, "--create", "--topic", topic).shows("TopicExistsException");
        Shell.run(TopicCommand.class, "--create", "--topic", topic, "--if-not-exists");
        Shell.fails(TopicCommand.class, "--create", "--topic", "not/allowed").shows("InvalidTopicException|illegal|invalid");
        Shell.fails(TopicCommand.class, "--create", "--topic", fresh("topic"), "--replication-factor", "3").shows("InvalidReplicationFactorException");
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--list").shows("^" + topic + "$"));
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--list", "--exclude-internal").shows("^" + topic + "$").hides("__consumer_offsets"));
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic).shows(
                "Topic: " + topic + "\\s+TopicId: \\S{22}\\s+PartitionCount: 3\\s+ReplicationFactor: 1\\s+Configs: .*retention.ms=60000",
                "Partition: 0\\s+Leader: 1\\s+Replicas: 1\\s+Isr: 1",
                "Partition: 2\\s+Leader: 1\\s+Replicas: 1\\s+Isr: 1"));
        for (var filter : new String[] {"--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"}) {
            Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic, filter).hides("Topic:"));
        }
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic, "--at-min-isr-partitions").shows("Partition: 0"));
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic, "--topics-with-overrides").shows("retention.ms=60000"));
        Shell.run(TopicCommand.class, "--alter", "--topic", topic, "--partitions", "5");
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--describe", "--topic", topic).shows("PartitionCount: 5", "Partition: 4\\s+Leader: 1"));
        Shell.fails(TopicCommand.class, "--alter", "--topic", topic, "--partitions", "2").shows("InvalidPartitionsException");
        Shell.run(TopicCommand.class, "--delete", "--topic", topic);
        Shell.eventually(() -> Shell.run(TopicCommand.class, "--list").hides("^" + topic + "$"));
        Shell.fails(TopicCommand.class, "--delete", "--topic", topic).shows("does not exist");
        Shell.run(TopicCommand.class, "--delete", "--topic", topic, "--if-exists");
    }

    private static void configs() {
        var topic = create(1);
        var entity = new String[] {"--entity-type", "topics", "--entity-name", topic};
        Shell.eventually(() -> Shell.run(ConfigCommand.class, with(entity, "--describe")).shows("Dynamic configs for topic " + topic + " are:").hides("retention.ms"));
        Shell.run(ConfigCommand.class, with(entity, "--alter", "--add-config", "retention.ms=1234,cleanup.policy=[compact,delete]")).shows("Completed updating config for topic");
        Shell.eventually(() -> Shell.run(ConfigCommand.class, with(entity, "--describe")).shows("cleanup.policy=compact,delete", "retention.ms=1234 sensitive=false synonyms=\\{DYNAMIC_TOPIC_CONFIG:retention.ms=1234"));
        Shell.eventually(() -> Shell.run(ConfigCommand.class, with(entity, "--describe", "--all")).shows("max.message.bytes=1048588 sensitive=false synonyms=\\{DEFAULT_CONFIG:message.max.bytes=1048588\\}"));
        Shell.run(ConfigCommand.class, with(entity, "--alter", "--delete-config", "retention.ms,cleanup.policy"));
        Shell.eventually(() -> Shell.run(ConfigCommand.class, with(entity, "--describe")).hides("retention.ms|cleanup.policy"));
        Shell.fails(ConfigCommand.class, with(entity, "--alter", "--add-config", "no.such.key=1")).shows("InvalidConfigurationException|Unknown");
        Shell.eventually(() -> Shell.run(ConfigCommand.class, "--entity-type", "topics", "--entity-name", fresh("absent"), "--describe").shows("doesn't exist"));

        var broker = new String[] {"--entity-type", "brokers", "--entity-name", "1"};
        Shell.run(ConfigCommand.class, with(broker, "--alter", "--add-config", "background.threads=9"));
        Shell.eventually(() -> Shell.run(ConfigCommand.class, with(broker, "--describe")).shows("background.threads=9 sensitive=false synonyms=\\{DYNAMIC_BROKER_CONFIG:background.threads=9, DEFAULT_CONFIG:background.threads=10\\}"));
        Shell.run(ConfigCommand.class, with(broker, "--alter", "--delete-config", "background.threads"));
        Shell.eventually(() -> Shell.run(ConfigCommand.class, with(broker, "--describe", "--all")).shows("background.threads=10 sensitive=false", "node.id=1 "));
        var all = new String[] {"--entity-type", "brokers", "--entity-default"};
        Shell.run(ConfigCommand.class, with(all, "--alter", "--add-config", "background.threads=8"));
        Shell.eventually(() -> Shell.run(ConfigCommand.class, with(all, "--describe")).shows("background.threads=8"));
        Shell.run(ConfigCommand.class, with(all, "--alter", "--delete-config", "background.threads"));
        Shell.fails(ConfigCommand.class, with(broker, "--alter", "--add-config", "node.id=7")).shows("InvalidRequestException");
    }

    private static String[] with(String[] first, String... rest) {
        var all = new String[first.length + rest.length];
        System.arraycopy(first, 0, all, 0, first.length);
        System.arraycopy(rest, 0, all, first.length, rest.length);
        return all;
    }

    private static void console() {
        var topic = create(1);
        Shell.feed("h1:v1,h2:v2\tk1\tone\nnull\tk2\ttwo\nh3:v3\tnull\tthree\n", ConsoleProducer.class, "--topic", topic,
                "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true", "--reader-property", "null.marker=null");
        var show = new String[] {"--topic", topic, "--from-beginning", "--timeout-ms", "10000",
            "--formatter-property", "print.key=true", "--formatter-property", "print.headers=true",
            "--formatter-property", "print.offset=true", "--formatter-property", "print.partition=true"};
        Shell.run(ConsoleConsumer.class, with(show, "--max-messages", "3")).shows(
                "^Partition:0\tOffset:0\th1:v1,h2:v2\tk1\tone$", "^Partition:0\tOffset:1\tNO_HEADERS\tk2\ttwo$",
                "^Partition:0\tOffset:2\th3:v3\tnull\tthree$", "Processed a total of 3 messages");
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--partition", "0", "--offset", "1", "--max-messages", "1", "--timeout-ms", "10000")
                .shows("^two$").hides("one|three");
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--partition", "0", "--offset", "latest", "--timeout-ms", "500").hides("one|two|three");
        for (var codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            Shell.feed(codec + "\n", ConsoleProducer.class, "--topic", topic, "--compression-codec", codec, "--request-required-acks", "all");
        }
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--from-beginning", "--max-messages", "8", "--timeout-ms", "10000")
                .shows("^three$", "^none$", "^gzip$", "^snappy$", "^lz4$", "^zstd$");
        var group = fresh("group");
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "3", "--timeout-ms", "10000").shows("^one$", "^three$");
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--group", group, "--max-messages", "1", "--timeout-ms", "10000").shows("^none$").hides("^one$|^gzip$");
        Shell.run(ConsoleConsumer.class, "--include", topic + ".*", "--from-beginning", "--max-messages", "1", "--timeout-ms", "10000").shows("^one$");
    }

    private static void getOffsets() {
        var topic = create(2);
        fill(topic, 10);
        Shell.run(GetOffsetShell.class, "--topic", topic).shows("^" + topic + ":0:\\d+$", "^" + topic + ":1:\\d+$");
        var one = create(1);
        fill(one, 7);
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "earliest").shows("^" + one + ":0:0$");
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "latest").shows("^" + one + ":0:7$");
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "-1").shows("^" + one + ":0:7$");
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "-2").shows("^" + one + ":0:0$");
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "max-timestamp").shows("^" + one + ":0:[0-6]$");
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "earliest-local").shows("^" + one + ":0:0$");
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "latest-tiered").hides("^" + one + ":0:[0-9]");
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "0").shows("^" + one + ":0:0$");
        Shell.run(GetOffsetShell.class, "--topic", one, "--time", "32503680000000").hides("^" + one + ":0:[0-9]");
        Shell.run(GetOffsetShell.class, "--topic-partitions", topic + ":1," + one + ":0").shows("^" + one + ":0:7$").hides("^" + topic + ":0");
        Shell.fails(GetOffsetShell.class, "--topic", fresh("absent")).shows("Could not match any topic-partitions");
    }

    private static void groups() {
        var topic = create(1);
        fill(topic, 10);
        var group = fresh("group");
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "4", "--timeout-ms", "10000");
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--list").shows("^" + group + "$"));
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--list", "--state").shows("^" + group + "\\s+Empty"));
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--list", "--type").shows("^" + group + "\\s+Classic"));
        Shell.eventually(() -> Shell.run(GroupsCommand.class, "--list").shows("^" + group + "\\s+Classic\\s+consumer"));
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--describe", "--group", group)
                .shows("has no active members", "^" + group + "\\s+" + topic + "\\s+0\\s+4\\s+10\\s+6\\s+-\\s+-\\s+-"));
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--describe", "--group", group, "--state").shows("^" + group + "\\s+\\S+:\\d+\\s+\\(1\\).*Empty\\s+0"));
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--describe", "--group", group, "--members").shows("has no active members"));
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--describe", "--all-groups", "--offsets").shows(group));
        Shell.fails(ConsumerGroupCommand.class, "--describe", "--group", fresh("absent")).shows("does not exist|not found");

        Shell.run(ConsumerGroupCommand.class, "--delete-offsets", "--group", group, "--topic", topic).shows("^" + topic + "\\s+0\\s+Successful");
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--describe", "--group", group).hides("^" + group + "\\s+" + topic));
        var doomed = fresh("group");
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--group", doomed, "--from-beginning", "--max-messages", "1", "--timeout-ms", "10000");
        Shell.run(ConsumerGroupCommand.class, "--delete", "--group", doomed).shows("was successful");
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--list").hides("^" + doomed + "$"));
        Shell.fails(ConsumerGroupCommand.class, "--delete", "--group", doomed).shows("GroupIdNotFoundException");
    }

    private static void resetOffsets() throws Exception {
        var topic = create(1);
        fill(topic, 10);
        var group = fresh("group");
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "5", "--timeout-ms", "10000");
        var reset = new String[] {"--reset-offsets", "--group", group, "--topic", topic};
        var row = "^" + group + "\\s+" + topic + "\\s+0\\s+";
        Shell.run(ConsumerGroupCommand.class, with(reset, "--to-earliest", "--dry-run")).shows(row + "0\\s");
        Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--describe", "--group", group).shows(row + "5\\s+10\\s+5"));
        String[][] ways = {
            {"0", "--to-earliest"}, {"10", "--to-latest"}, {"3", "--to-offset", "3"}, {"5", "--shift-by", "2"},
            {"4", "--shift-by", "-1"}, {"0", "--to-datetime", "2020-01-01T00:00:00.000"}, {"10", "--to-offset", "1000"},
            {"0", "--by-duration", "P1D"}, {"0", "--to-current"},
        };
        for (var way : ways) {
            var call = with(with(reset, java.util.Arrays.copyOfRange(way, 1, way.length)), "--execute");
            Shell.run(ConsumerGroupCommand.class, call).shows(row + way[0] + "\\s");
            Shell.eventually(() -> Shell.run(ConsumerGroupCommand.class, "--describe", "--group", group).shows(row + way[0] + "\\s+10\\s"));
        }
        var exported = Shell.run(ConsumerGroupCommand.class, with(reset, "--to-offset", "6", "--export", "--dry-run"));
        exported.shows("\"?" + topic + "\"?,0,6");
        var file = Files.createTempFile("offsets", ".csv");
        Files.write(file, (topic + ",0,7\n").getBytes(UTF_8));
        Shell.run(ConsumerGroupCommand.class, "--reset-offsets", "--group", group, "--from-file", file.toString(), "--execute").shows(row + "7\\s");
        Files.delete(file);
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--group", group, "--max-messages", "1", "--timeout-ms", "10000").shows("^7$");
    }

    private static void deleteRecords() throws Exception {
        var topic = create(1);
        fill(topic, 10);
        Path file = Files.createTempFile("delete-records", ".json");
        Files.writeString(file, "{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":0,\"offset\":4}]}");
        Shell.run(DeleteRecordsCommand.class, "--offset-json-file", file.toString()).shows("partition: " + topic + "-0\\s+low_watermark: 4");
        Shell.run(GetOffsetShell.class, "--topic", topic, "--time", "earliest").shows(":0:4$");
        Shell.run(ConsoleConsumer.class, "--topic", topic, "--from-beginning", "--max-messages", "1", "--timeout-ms", "10000").shows("^4$");
        Files.writeString(file, "{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":0,\"offset\":40}]}");
        Shell.fails(DeleteRecordsCommand.class, "--offset-json-file", file.toString()).shows("partition: " + topic + "-0\\s+error: .*OffsetOutOfRangeException");
        Files.delete(file);
        Shell.run(LogDirsCommand.class, "--describe", "--topic-list", topic)
                .shows("\"broker\":1", "\"partition\":\"" + topic + "-0\",\"size\":\\d+,\"offsetLag\":0,\"isFuture\":false", "\"error\":null");
    }

    /** One broker has nowhere to send a partition, but all of the conversation can be had with it. */
    private static void reassign() throws Exception {
        var topic = create(2);
        Path file = Files.createTempFile("reassign", ".json");
        Files.writeString(file, "{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":0,\"replicas\":[1]}]}");
        var plan = new String[] {"--reassignment-json-file", file.toString()};
        Shell.run(ReassignPartitionsCommand.class, "--list").shows("No partition reassignments found.");
        Shell.run(ReassignPartitionsCommand.class, with(plan, "--execute")).shows("Successfully started partition reassignment for " + topic + "-0");
        Shell.run(ReassignPartitionsCommand.class, with(plan, "--verify")).shows("Reassignment of partition " + topic + "-0 is completed.");
        Shell.run(ReassignPartitionsCommand.class, with(plan, "--cancel")).shows("None of the specified partition moves are active.");
        Files.writeString(file, "{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":1,\"replicas\":[1,9]}]}");
        Shell.fails(ReassignPartitionsCommand.class, with(plan, "--execute")).shows("9");
        Files.delete(file);
        Shell.run(LeaderElectionCommand.class, "--election-type", "preferred", "--topic", topic, "--partition", "0")
                .shows("Valid replica already elected for partitions.*" + topic + "-0");
        Shell.run(LeaderElectionCommand.class, "--election-type", "unclean", "--topic", topic, "--partition", "1")
                .shows("Valid replica already elected for partitions.*" + topic + "-1");
        Shell.fails(LeaderElectionCommand.class, "--election-type", "preferred", "--topic", fresh("absent"), "--partition", "0")
                .shows("UnknownTopicOrPartitionException");
    }

    private static void cluster() {
        Shell.run(BrokerApiVersionsCommand.class).shows("^\\S+ \\(id: 1 rack: null isFenced: false\\) -> \\($",
                "Produce\\(0\\): 0 to 13 \\[usable: 13\\]", "Fetch\\(1\\): 4 to 18", "ApiVersions\\(18\\): 0 to 4");
        Shell.run(MetadataQuorumCommand.class, "describe", "--status").shows("ClusterId:\\s+\\S{22}", "LeaderId:\\s+1", "LeaderEpoch:\\s+\\d+", "HighWatermark:\\s+\\d+",
                "MaxFollowerLag:\\s+0", "CurrentVoters:\\s+\\[.*\"id\": 1");
        Shell.run(MetadataQuorumCommand.class, "describe", "--replication").shows("NodeId", "^1\\s+\\S{22}\\s+\\d+\\s+0\\s.*Leader");
        Shell.run(FeatureCommand.class, "describe").shows("Feature: metadata.version\\s+SupportedMinVersion: \\S+\\s+SupportedMaxVersion: \\S+\\s+FinalizedVersionLevel: 4.3-IV0");
        Shell.fails(FeatureCommand.class, "upgrade", "--feature", "no.such.feature=1").shows("no.such.feature");
    }
}
