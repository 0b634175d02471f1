// Prints what DescribeConfigs of a running Apache Kafka answers, one value per line, tab-separated:
//   resource  name  value  source  read-only  sensitive  type  synonyms
// The config crate's tests compare its own answers with the output, kept in described.tsv. The broker
// has node id 1 and was started with described.properties:
//   java -cp "KAFKA_LIBS/*" Described.java HOST:PORT > described.tsv

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.config.ConfigResource;

public class Described {
    public static void main(String[] args) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            Map<String, String> overrides = Map.of("retention.ms", "5000", "cleanup.policy", " compact , delete",
                "min.cleanable.dirty.ratio", "0.00001");
            admin.createTopics(List.of(new NewTopic("plain", 1, (short) 1),
                new NewTopic("changed", 1, (short) 1).configs(overrides))).all().get();
            ConfigResource one = new ConfigResource(ConfigResource.Type.BROKER, "1");
            ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
            ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, "g");
            admin.incrementalAlterConfigs(Map.of(
                one, List.of(set("log.segment.bytes", "2097152"), set("log.roll.ms", "7654321"),
                    set("listener.name.plaintext.max.connections", "77")),
                all, List.of(set("log.segment.bytes", "3145728"), set("message.max.bytes", "2000000"),
                    set("log.cleanup.policy", "delete,compact"), set("log.flush.interval.ms", "60000"),
                    set("other.plugin.option", "x")),
                group, List.of(set("consumer.session.timeout.ms", "50000")))).all().get();
            Thread.sleep(2000); // the broker applies what the controller has written
            ConfigResource plain = new ConfigResource(ConfigResource.Type.TOPIC, "plain");
            ConfigResource changed = new ConfigResource(ConfigResource.Type.TOPIC, "changed");
            ConfigResource metrics = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, "m");
            Collection<ConfigResource> resources = List.of(plain, changed, one, all, group, metrics);
            Map<ConfigResource, Config> answers = admin.describeConfigs(resources,
                new DescribeConfigsOptions().includeSynonyms(true)).all().get();
            for (ConfigResource resource : resources) {
                Map<String, ConfigEntry> sorted = new TreeMap<>();
                answers.get(resource).entries().forEach(entry -> sorted.put(entry.name(), entry));
                sorted.values().forEach(entry -> print(resource, entry));
            }
        }
    }

    static AlterConfigOp set(String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
    }

    static void print(ConfigResource resource, ConfigEntry entry) {
        String synonyms = entry.synonyms().stream()
            .map(s -> s.name() + "=" + s.value() + "@" + s.source()).collect(Collectors.joining(" | "));
        System.out.println(String.join("\t", resource.type() + ":" + resource.name(), entry.name(),
            String.valueOf(entry.value()), entry.source().toString(), String.valueOf(entry.isReadOnly()),
            String.valueOf(entry.isSensitive()), entry.type().toString(), synonyms));
    }
}
