// Prints the facts of every setting of Apache Kafka, one per line, tab-separated:
//   scope  name  type  default  limits  change  internal  inherits
// The config crate's tests compare its tables with the output, kept in facts.tsv:
//   java -cp "KAFKA_LIBS/*" Facts.java > facts.tsv

import java.lang.reflect.Field;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.server.metrics.ClientMetricsConfigs;
import org.apache.kafka.storage.internals.log.LogConfig;

public class Facts {
    public static void main(String[] args) throws Exception {
        print("broker", kafka.server.KafkaConfig.configDef());
        print("topic", LogConfig.configDefCopy());
        print("group", GroupConfig.CONFIG_DEF);
        print("client-metrics", ClientMetricsConfigs.configDef());
    }

    static void print(String scope, ConfigDef settings) throws Exception {
        Map<String, String> modes = DynamicBrokerConfig.dynamicConfigUpdateModes();
        for (ConfigDef.ConfigKey key : new TreeMap<>(settings.configKeys()).values()) {
            String change = scope.equals("broker") ? modes.getOrDefault(key.name, "read-only") : "";
            System.out.println(String.join("\t", scope, key.name, key.type.toString(), defaultOf(key),
                limits(key), change, key.internalConfig ? "internal" : "", inherits(scope, key.name)));
        }
    }

    static String defaultOf(ConfigDef.ConfigKey key) {
        if (!key.hasDefault()) return "required";
        return key.defaultValue == null ? "null" : ConfigDef.convertToString(key.defaultValue, key.type);
    }

    // A list's limits do not print whether it may be empty, so they are read from its fields.
    static String limits(ConfigDef.ConfigKey key) throws Exception {
        if (key.validator == null) return "";
        if (!(key.validator instanceof ConfigDef.ValidList)) return key.validator.toString();
        Field empty = key.validator.getClass().getDeclaredField("isEmptyAllowed");
        empty.setAccessible(true);
        return key.validator + (empty.getBoolean(key.validator) ? "" : " not empty");
    }

    static String inherits(String scope, String name) {
        switch (scope) {
            case "topic":
                return ServerTopicConfigSynonyms.ALL_TOPIC_CONFIG_SYNONYMS.getOrDefault(name, java.util.List.of())
                    .stream().map(s -> s.name() + "*" + s.converter().apply("1")).collect(Collectors.joining(","));
            case "group":
                return GroupConfig.ALL_GROUP_CONFIG_SYNONYMS.get(name).map(s -> s + "*1").orElse("");
            default:
                return "";
        }
    }
}
