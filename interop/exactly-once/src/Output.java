import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** What comes out of a chain, whose name its topic has. */
abstract class Output {
    private static final Lane NONE = new Lane();

    final String chain;
    private final Map<String, Lane> lanes = new ConcurrentSkipListMap<>();

    private Output(String chain) {
        this.chain = chain;
    }

    static Output of(String chain) {
        return chain.equals("streams") ? new Counts(chain) : new Copies(chain);
    }

    abstract void note(ConsumerRecord<String, String> record);

    /** How many numbers each lane must have for so many lines per partition. */
    abstract Map<String, Long> wanted(long[] lines);

    /** How many lines have come out. */
    abstract long lines();

    /** The same lines: a lane is a partition, its numbers those of the lines. */
    private static final class Copies extends Output {
        Copies(String chain) {
            super(chain);
        }

        @Override
        void note(ConsumerRecord<String, String> record) {
            long number = Long.parseLong(record.key());
            var words = Lines.words(record.partition(), number);
            if (!record.value().equals(words)) throw new AssertionError(record + " is not line " + number + ", " + words);
            add(String.valueOf(record.partition()), number);
        }

        @Override
        Map<String, Long> wanted(long[] lines) {
            var wanted = new TreeMap<String, Long>();
            for (int partition = 0; partition < lines.length; partition++) wanted.put(String.valueOf(partition), lines[partition]);
            return wanted;
        }

        @Override
        long lines() {
            return size();
        }
    }

    /** Every count of every word: a lane is a word, its first count, 1, is number 0. */
    private static final class Counts extends Output {
        Counts(String chain) {
            super(chain);
        }

        @Override
        void note(ConsumerRecord<String, String> record) {
            add(record.key(), Long.parseLong(record.value()) - 1);
        }

        @Override
        Map<String, Long> wanted(long[] lines) {
            return Lines.count(lines);
        }

        @Override
        long lines() {
            return size() / Lines.WORDS_PER_LINE;
        }
    }

    final void add(String lane, long number) {
        lanes.computeIfAbsent(lane, absent -> new Lane()).add(number);
    }

    final long size() {
        return lanes.values().stream().mapToLong(Lane::size).sum();
    }

    final long size(String lane) {
        return lanes.getOrDefault(lane, NONE).size();
    }

    /** The lanes that are shorter than that. */
    final Stream<String> behind(Map<String, Long> goals) {
        return goals.entrySet().stream()
                .filter(goal -> size(goal.getKey()) < goal.getValue())
                .map(goal -> chain + " " + goal.getKey() + " has " + size(goal.getKey()) + " of " + goal.getValue());
    }

    /** What is wrong, if that is what had to come out. */
    final List<String> complaints(Map<String, Long> wanted) {
        return Stream.concat(lanes.keySet().stream(), wanted.keySet().stream())
                .distinct()
                .sorted(Comparator.naturalOrder())
                .map(lane -> complaint(lane, wanted.getOrDefault(lane, 0L)))
                .filter(complaint -> !complaint.isEmpty())
                .toList();
    }

    private String complaint(String lane, long count) {
        var complaint = lanes.getOrDefault(lane, NONE).complaint(count);
        return complaint.isEmpty() ? "" : chain + " " + lane + " of " + count + ":" + complaint;
    }
}
