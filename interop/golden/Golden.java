import java.io.*;
import java.lang.reflect.Constructor;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import java.util.zip.*;

import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.message.ApiMessageType.ListenerType;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.requests.ApiVersionsResponse;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.server.common.ApiMessageAndVersion;

/**
 * Writes the golden vectors: what Apache Kafka's own generated classes say about every message in
 * every version. One line each:
 * <pre>
 * error CODE NAME RETRIABLE
 * api KEY NAME MIN MAX ADVERTISED_MIN ADVERTISED_MAX LISTENERS REQUEST_HEADERS RESPONSE_HEADERS
 * message NAME VERSION VARIANT LEAVES BYTES    LEAVES: how many leaf values the variant gave
 * field NAME PATH VERSION BYTES OUTCOMES       which versions can carry a value given to one field
 * metadata|offsets|transactions|share|control …    records in their framing
 * </pre>
 * Usage: Golden FILE writes, Golden --check FILE compares.
 */
public class Golden {
    private static final String[] PACKAGES = {
        "org/apache/kafka/common/message/",
        "org/apache/kafka/common/metadata/",
        "org/apache/kafka/coordinator/group/generated/",
        "org/apache/kafka/coordinator/share/generated/",
        "org/apache/kafka/coordinator/transaction/generated/",
        "org/apache/kafka/server/log/remote/metadata/storage/generated/",
    };
    /** Layouts of files or of a bare number, which are not spoken as messages. */
    private static final Set<String> NOT_MESSAGES = Set.of("ControlRecordTypeSchema", "ProducerSnapshot");

    private final List<String> lines = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        Golden golden = new Golden();
        golden.errors();
        golden.apis();
        Map<String, Class<?>> messages = messages();
        for (var entry : messages.entrySet()) golden.message(entry.getKey(), entry.getValue());
        golden.metadataRecords(messages);
        golden.coordinatorRecords(messages, "offsets", "coordinator.group");
        golden.coordinatorRecords(messages, "transactions", "coordinator.transaction");
        golden.coordinatorRecords(messages, "share", "coordinator.share");
        golden.controlRecords(messages);
        if (args[0].equals("--check")) golden.compare(Path.of(args[1]));
        else golden.write(Path.of(args[0]));
    }

    private void write(Path path) throws IOException {
        try (var out = new PrintStream(new GZIPOutputStream(Files.newOutputStream(path)) {
            { def.setLevel(Deflater.BEST_COMPRESSION); }
        }, false, StandardCharsets.UTF_8)) {
            for (String line : lines) out.print(line + "\n");
        }
        System.out.println(lines.size() + " lines, " + Files.size(path) + " bytes");
    }

    private void compare(Path path) throws IOException {
        List<String> old;
        try (var in = new BufferedReader(new InputStreamReader(
                new GZIPInputStream(Files.newInputStream(path)), StandardCharsets.UTF_8))) {
            old = in.lines().toList();
        }
        for (int i = 0; i < Math.max(old.size(), lines.size()); i++) {
            String was = i < old.size() ? old.get(i) : "nothing", is = i < lines.size() ? lines.get(i) : "nothing";
            if (!was.equals(is)) {
                System.err.println("line " + (i + 1) + " is checked in as\n  " + was + "\nbut Kafka says\n  " + is);
                System.exit(1);
            }
        }
        System.out.println(lines.size() + " lines agree");
    }

    private void line(Object... words) {
        lines.add(Arrays.stream(words).map(String::valueOf).collect(Collectors.joining(" ")));
    }

    private void errors() {
        for (Errors error : Errors.values())
            line("error", error.code(), error.name(), error.exception() instanceof RetriableException);
    }

    private void apis() {
        for (ApiKeys key : ApiKeys.values()) {
            if (!key.hasValidVersion()) continue;
            StringBuilder requestHeaders = new StringBuilder(), responseHeaders = new StringBuilder();
            for (short v = key.messageType.lowestSupportedVersion(); v <= key.messageType.highestSupportedVersion(true); v++) {
                requestHeaders.append(key.requestHeaderVersion(v));
                responseHeaders.append(key.responseHeaderVersion(v));
            }
            ListenerType listener = key.inScope(ListenerType.BROKER) ? ListenerType.BROKER : ListenerType.CONTROLLER;
            var told = ApiVersionsResponse.filterApis(listener, false, true).find(key.id);
            String listeners = Arrays.stream(ListenerType.values()).filter(key::inScope)
                .map(type -> type.name().toLowerCase(Locale.ROOT)).sorted().collect(Collectors.joining(","));
            line("api", key.id, key.name, key.messageType.lowestSupportedVersion(),
                key.messageType.highestSupportedVersion(true), told.minVersion(), told.maxVersion(),
                listeners, requestHeaders, responseHeaders);
        }
    }

    /** Every generated class that has versions, by the name of its message. */
    private static Map<String, Class<?>> messages() throws Exception {
        Map<String, Class<?>> found = new TreeMap<>();
        for (String element : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (!element.endsWith(".jar")) continue;
            try (JarFile jar = new JarFile(element)) {
                for (var entries = jar.entries(); entries.hasMoreElements();) {
                    String file = entries.nextElement().getName();
                    String folder = file.substring(0, file.lastIndexOf('/') + 1);
                    if (!Arrays.asList(PACKAGES).contains(folder) || !file.endsWith(".class") || file.contains("$")) continue;
                    Class<?> type = Class.forName(file.replace('/', '.').replace(".class", ""));
                    if (!Message.class.isAssignableFrom(type) || Modifier.isAbstract(type.getModifiers())) continue;
                    String name = type.getSimpleName().replaceFirst("(Request|Response|Header)Data$", "$1");
                    Message message = create(type);
                    boolean live = message.lowestSupportedVersion() <= message.highestSupportedVersion();
                    if (live && !NOT_MESSAGES.contains(name)) found.put(name, type);
                }
            }
        }
        return found;
    }

    private static Message create(Class<?> type) throws Exception {
        Constructor<?> constructor = type.getDeclaredConstructor();
        return (Message) constructor.newInstance();
    }

    private static Schema schema(Class<?> type, int version) throws Exception {
        return ((Schema[]) type.getField("SCHEMAS").get(null))[version];
    }

    private static int lowest(Class<?> type) throws Exception {
        return create(type).lowestSupportedVersion();
    }

    private static int highest(Class<?> type) throws Exception {
        return ((Schema[]) type.getField("SCHEMAS").get(null)).length - 1;
    }

    /** The bytes, or null when Kafka refuses to write this value in this version. */
    private static String bytes(Message message, int version) {
        try {
            return hex(MessageUtil.toByteBufferAccessor(message, (short) version).buffer());
        } catch (org.apache.kafka.common.errors.UnsupportedVersionException | NullPointerException e) {
            return null;
        }
    }

    private static String hex(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes.length == 0 ? "empty" : HexFormat.of().formatHex(bytes);
    }

    private void message(String name, Class<?> type) throws Exception {
        int lowest = lowest(type), highest = highest(type);
        for (int version = lowest; version <= highest; version++) {
            Schema schema = schema(type, version);
            line("message", name, version, "default", 0, required(name, create(type), version));
            // Further fillings until no two fields of one structure look alike in all of them.
            for (int filling = 0, alike = 1; alike > 0; filling++) {
                Filler filler = new Filler(filling, false);
                Message message = create(type);
                filler.fill(message, schema, "");
                line("message", name, version, "filled" + filling, filler.leaves, required(name, message, version));
                alike = Filler.lookAlikes(schema, filling);
            }
            Filler nulls = new Filler(0, true);
            Message message = create(type);
            nulls.fill(message, schema, "");
            line("message", name, version, "nulls", nulls.leaves, required(name, message, version));
        }
        fields(name, type, lowest, highest);
    }

    private static String required(String name, Message message, int version) {
        String bytes = bytes(message, version);
        if (bytes == null) throw new IllegalStateException(name + " " + version);
        return bytes;
    }

    /** Fields, and nulls, that some versions cannot carry: are they refused or dropped there? */
    private void fields(String name, Class<?> type, int lowest, int highest) throws Exception {
        Map<String, Integer> last = new TreeMap<>(), count = new TreeMap<>();
        for (int version = lowest; version <= highest; version++) {
            for (String path : Filler.paths(schema(type, version))) {
                last.put(path, version);
                count.merge(path, 1, Integer::sum);
            }
        }
        for (String path : last.keySet()) {
            if (count.get(path) == highest - lowest + 1) continue;
            Filler filler = new Filler(0, false);
            filler.only = path;
            Message message = create(type);
            filler.fill(message, schema(type, last.get(path)), "");
            StringBuilder outcomes = new StringBuilder();
            for (int version = lowest; version <= highest; version++)
                outcomes.append(bytes(message, version) == null ? '-' : '+');
            line("field", name, path, last.get(path), required(name, message, last.get(path)), outcomes);
        }
    }

    private static Message filled(Class<?> type) throws Exception {
        Message message = create(type);
        new Filler(0, false).fill(message, schema(type, highest(type)), "");
        return message;
    }

    private void metadataRecords(Map<String, Class<?>> messages) throws Exception {
        for (var entry : messages.entrySet()) {
            if (!entry.getValue().getPackageName().equals("org.apache.kafka.common.metadata")) continue;
            int version = highest(entry.getValue());
            var record = new ApiMessageAndVersion((ApiMessage) filled(entry.getValue()), (short) version);
            var cache = new ObjectSerializationCache();
            var out = new ByteBufferAccessor(ByteBuffer.allocate(MetadataRecordSerde.INSTANCE.recordSize(record, cache)));
            MetadataRecordSerde.INSTANCE.write(record, cache, out);
            out.buffer().flip();
            line("metadata", entry.getKey(), version, hex(out.buffer()));
        }
    }

    private void coordinatorRecords(Map<String, Class<?>> messages, String topic, String where) throws Exception {
        for (var entry : messages.entrySet()) {
            Class<?> type = entry.getValue();
            if (!type.getPackageName().contains(where) || !entry.getKey().endsWith("Key")) continue;
            String name = entry.getKey().substring(0, entry.getKey().length() - 3);
            Class<?> value = messages.get(name + "Value");
            byte[] keyBytes = MessageUtil.toCoordinatorTypePrefixedBytes((ApiMessage) filled(type));
            int version = highest(value);
            byte[] valueBytes = MessageUtil.toVersionPrefixedBytes((short) version, filled(value));
            line(topic, name, version, hex(ByteBuffer.wrap(keyBytes)), hex(ByteBuffer.wrap(valueBytes)));
        }
    }

    private void controlRecords(Map<String, Class<?>> messages) throws Exception {
        for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.ABORT, ControlRecordType.COMMIT})
            line("control", type, hex(type.recordKey()), hex(new EndTransactionMarker(type, 20_000).serializeValue()));
        Map<ControlRecordType, String> bodies = new TreeMap<>(Map.of(
            ControlRecordType.LEADER_CHANGE, "LeaderChangeMessage",
            ControlRecordType.SNAPSHOT_HEADER, "SnapshotHeaderRecord",
            ControlRecordType.SNAPSHOT_FOOTER, "SnapshotFooterRecord",
            ControlRecordType.KRAFT_VERSION, "KRaftVersionRecord",
            ControlRecordType.KRAFT_VOTERS, "VotersRecord"));
        for (var entry : bodies.entrySet()) {
            Class<?> type = messages.get(entry.getValue());
            Message message = create(type);
            new Filler(0, false).fill(message, schema(type, 0), "");
            line("control", entry.getKey(), hex(entry.getKey().recordKey()), bytes(message, 0));
        }
    }
}
