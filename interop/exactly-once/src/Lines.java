import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The input: line `number` of a partition has that number for its key and these words for its value. */
final class Lines {
    static final int WORDS_PER_LINE = 2;
    private static final List<String> WORDS = List.of("dune", "foam", "gull", "kelp", "reef", "sand", "tide", "wave");

    private Lines() {}

    static String words(int partition, long number) {
        return word(number + partition) + " " + word(number / WORDS.size());
    }

    /** How often each word is in so many lines per partition. */
    static Map<String, Long> count(long[] lines) {
        var counts = new HashMap<String, Long>();
        for (int partition = 0; partition < lines.length; partition++) {
            for (long number = 0; number < lines[partition]; number++) {
                for (var word : words(partition, number).split(" ")) counts.merge(word, 1L, Long::sum);
            }
        }
        return counts;
    }

    private static String word(long number) {
        return WORDS.get((int) (number % WORDS.size()));
    }
}
