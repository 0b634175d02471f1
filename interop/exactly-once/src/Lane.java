import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/** What came out of a chain in one order: numbers that must be 0, 1, 2 and so on, each once. */
final class Lane {
    private static final int SHOWN = 20;

    private final List<Long> numbers = new ArrayList<>();

    synchronized void add(long number) {
        numbers.add(number);
    }

    synchronized int size() {
        return numbers.size();
    }

    /** What is wrong with it, if the numbers below `count` had to come; nothing if it is right. */
    synchronized String complaint(long count) {
        var seen = new HashSet<Long>();
        var twice = new ArrayList<Long>();
        var late = new ArrayList<Long>();
        long last = -1;
        for (long number : numbers) {
            if (!seen.add(number)) twice.add(number);
            else if (number < last) late.add(number);
            last = Math.max(last, number);
        }
        var missing = LongStream.range(0, count).filter(number -> !seen.contains(number)).boxed().toList();
        var unknown = seen.stream().filter(number -> number >= count).sorted().toList();
        return named("missing", missing) + named("twice", twice) + named("late", late) + named("never sent", unknown);
    }

    private static String named(String what, List<Long> numbers) {
        if (numbers.isEmpty()) return "";
        var shown = numbers.stream().limit(SHOWN).map(String::valueOf).collect(Collectors.joining(", "));
        return " " + what + ": " + shown + (numbers.size() > SHOWN ? " and " + (numbers.size() - SHOWN) + " more" : "") + ";";
    }
}
