import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.apache.kafka.tools.DumpLogSegments;

/** Has Kafka's DumpLogSegments read every file of a stopped data directory, and fails on any complaint. */
final class Dump {
    private static final Pattern FILE = Pattern.compile(".*\\.(log|index|timeindex|txnindex|snapshot|checkpoint)");
    private static final Pattern COMPLAINT = Pattern.compile(
            "(?i)mismatch|corrupt|invalid|isvalid: false|out of order|could not|cannot|exception|error|unknown|unsupported");
    /** Of a batch that compaction emptied, its time stays in its header. Kafka's own files are complained of so, too. */
    private static final Pattern EMPTIED = Pattern.compile(
            "Found timestamp mismatch in :.*\\R(\\s*Index timestamp: \\d+, log timestamp: -1(\\R|$))+");
    /** Said of the first offset of each later segment too, after "-1": that is no hole. */
    private static final Pattern HOLE = Pattern.compile("\\s+\\d+ is followed by \\d+");

    private Dump() {}

    public static void main(String[] arguments) throws Exception {
        var data = Path.of(arguments[0]);
        var byPartition = new TreeMap<String, List<String>>();
        try (var files = Files.walk(data)) {
            for (var file : (Iterable<Path>) files.sorted()::iterator) {
                var partition = file.getParent().getFileName().toString();
                // Of a topic that is being deleted the files lie as they were when it was in use: never closed.
                boolean counts = Files.isRegularFile(file) && !partition.endsWith("-delete");
                if (counts && FILE.matcher(file.getFileName().toString()).matches()) {
                    byPartition.computeIfAbsent(partition, p -> new ArrayList<>()).add(file.toString());
                }
            }
        }
        int files = 0;
        int batches = 0;
        for (var partition : byPartition.entrySet()) {
            var text = dump(partition.getKey(), partition.getValue());
            if (isCompacted(partition.getKey())) text = EMPTIED.matcher(text).replaceAll("");
            for (var line : text.split("\n")) {
                // Compaction leaves holes between offsets, and only there are they right.
                boolean hole = HOLE.matcher(line).matches() && !isCompacted(partition.getKey());
                if (hole || COMPLAINT.matcher(line).find()) {
                    throw new AssertionError(partition.getKey() + ": " + line + "\n" + text.substring(Math.max(0, text.length() - 1000)));
                }
            }
            files += partition.getValue().size();
            batches += text.split("isvalid: true", -1).length - 1;
        }
        for (var checkpoint : List.of("recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "replication-offset-checkpoint")) {
            offsets(data.resolve(checkpoint));
        }
        if (batches == 0) throw new AssertionError("not one batch in " + data);
        System.out.println(files + " files, " + batches + " batches, no complaint");
        System.exit(0);
    }

    private static boolean isCompacted(String partition) {
        return List.of("__consumer_offsets", "__transaction_state", "compacted").stream().anyMatch(partition::startsWith);
    }

    /** All that it says of files of one partition or topic. */
    static String dump(String partition, List<String> files) throws Exception {
        var call = new ArrayList<>(List.of("--deep-iteration", "--files", String.join(",", files)));
        if (partition.startsWith("__cluster_metadata")) call.add("--cluster-metadata-decoder");
        else if (partition.startsWith("__consumer_offsets")) call.add("--offsets-decoder");
        else if (partition.startsWith("__transaction_state")) call.add("--transaction-log-decoder");
        var bytes = new ByteArrayOutputStream();
        var terminal = System.out;
        var capture = new PrintStream(bytes, true);
        System.setOut(capture);
        System.setErr(capture);
        try {
            DumpLogSegments.main(call.toArray(String[]::new));
        } catch (Exception thrown) {
            thrown.printStackTrace(capture);
        } finally {
            System.setOut(terminal);
            System.setErr(terminal);
        }
        return bytes.toString();
    }

    /** Text: version 0, the number of lines, then `topic partition offset` each. */
    private static void offsets(Path checkpoint) throws IOException {
        if (!Files.exists(checkpoint)) return;
        var lines = Files.readAllLines(checkpoint);
        boolean right = lines.get(0).equals("0") && Integer.parseInt(lines.get(1)) == lines.size() - 2
                && lines.stream().skip(2).allMatch(line -> line.matches("\\S+ \\d+ \\d+"));
        if (!right) throw new AssertionError(checkpoint + ": " + lines);
    }
}
