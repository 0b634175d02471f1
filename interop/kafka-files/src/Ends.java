import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the files of a stopped broker say of transactions, as Kafka's DumpLogSegments and `strandline log dump` read it. */
final class Ends {
    private static final Pattern BATCH = Pattern.compile("baseOffset: .* producerId: (-?\\d+) .*");
    private static final Pattern MARKER = Pattern.compile(".* endTxnMarker: (COMMIT|ABORT) .*");
    private static final Pattern ABORTED = Pattern.compile("version: 0 producerId: \\d+ firstOffset: .*");
    private static final Pattern STATE = Pattern.compile(".*\"transactionalId\":\"([^\"]+)\".*\"transactionStatus\":(\\d+).*");
    private static final List<String> STATES = List.of("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort");
    private static final Pattern OFFSET = Pattern.compile(".*\"group\":\"([^\"]+)\",\"topic\":\"([^\"]+)\",\"partition\":(\\d+).*"
            + "\"offset\":(\\d+),.*\"metadata\":\"([^\"]*)\".*");

    private final Path data;
    private final Manifest manifest;

    private Ends(Path data, Manifest manifest) {
        this.data = data;
        this.manifest = manifest;
    }

    public static void main(String[] arguments) throws Exception {
        var ends = new Ends(Path.of(arguments[0]), new Manifest(Path.of(arguments[1])));
        ends.states();
        ends.offsets();
        for (var at : Transactions.DATA) {
            var expected = ends.manifest.markers.get(at.toString());
            Check.same("the ends in " + at, expected, ends.markers(at.toString()));
            if (arguments.length > 2) Check.same("the ends in " + at + " by strandline", expected, ends.markersBy(arguments[2], at.toString()));
        }
        System.exit(0);
    }

    private List<String> files(String partition, String... kinds) throws Exception {
        var found = new ArrayList<String>();
        try (var files = Files.list(data.resolve(partition))) {
            for (var file : (Iterable<Path>) files.sorted()::iterator) {
                for (var kind : kinds) if (file.toString().endsWith(kind)) found.add(file.toString());
            }
        }
        return found;
    }

    private List<String> partitionsOf(String topic) throws Exception {
        try (var folders = Files.list(data)) {
            return folders.map(folder -> folder.getFileName().toString()).filter(name -> name.matches(topic + "-\\d+")).sorted().toList();
        }
    }

    private String logsOf(String topic) throws Exception {
        var logs = new ArrayList<String>();
        for (var partition : partitionsOf(topic)) logs.addAll(files(partition, ".log"));
        return Dump.dump(topic, logs);
    }

    /** The last record of each transactional id. */
    private void states() throws Exception {
        var last = new TreeMap<String, String>();
        each(STATE, logsOf("__transaction_state"), state -> last.put(state.group(1), STATES.get(Integer.parseInt(state.group(2)))));
        var expected = new TreeMap<String, String>();
        manifest.transactions.forEach((id, transaction) -> expected.put(id, transaction.state()));
        last.keySet().retainAll(expected.keySet());
        Check.same("the states of transactions", expected, last);
    }

    /** Offsets count when their transaction has been committed. */
    private void offsets() throws Exception {
        var pending = new HashMap<String, Map<String, String>>();
        var committed = new TreeMap<String, String>();
        var producer = "";
        for (var line : logsOf("__consumer_offsets").split("\n")) {
            var batch = BATCH.matcher(line);
            if (batch.matches()) producer = batch.group(1);
            var offset = OFFSET.matcher(line);
            if (offset.matches()) {
                pending.computeIfAbsent(producer, p -> new HashMap<>())
                        .put(offset.group(2) + "-" + offset.group(3), offset.group(4) + " " + offset.group(5));
            }
            var marker = MARKER.matcher(line);
            if (!marker.matches()) continue;
            var ended = pending.remove(producer);
            if (ended != null && marker.group(1).equals("COMMIT")) committed.putAll(ended);
        }
        Check.same("the committed offsets", manifest.offsets.get(Transactions.GROUP), committed);
    }

    private Manifest.Markers markers(String partition) throws Exception {
        var counts = new TreeMap<>(Map.of("COMMIT", 0, "ABORT", 0, "index", 0));
        var text = Dump.dump(partition, files(partition, ".log", ".txnindex"));
        each(MARKER, text, marker -> counts.merge(marker.group(1), 1, Integer::sum));
        each(ABORTED, text, aborted -> counts.merge("index", 1, Integer::sum));
        Check.same("aborts in the indexes of " + partition, counts.get("ABORT"), counts.get("index"));
        return new Manifest.Markers(counts.get("COMMIT"), counts.get("ABORT"));
    }

    private Manifest.Markers markersBy(String strandline, String partition) throws Exception {
        var call = new ArrayList<>(List.of(strandline, "log", "dump", "--json"));
        call.addAll(files(partition, ".log"));
        var process = new ProcessBuilder(call).redirectErrorStream(true).start();
        var text = new String(process.getInputStream().readAllBytes());
        if (process.waitFor() != 0) throw new AssertionError(text);
        return new Manifest.Markers(text.split("\"control\":\"Commit ", -1).length - 1, text.split("\"control\":\"Abort ", -1).length - 1);
    }

    private static void each(Pattern pattern, String text, java.util.function.Consumer<Matcher> take) {
        for (var line : text.split("\n")) {
            var matcher = pattern.matcher(line);
            if (matcher.matches()) take.accept(matcher);
        }
    }
}
