import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.kafka.common.utils.Exit;

/** Runs the main class of a tool as its script would, and keeps what it prints. */
final class Shell {
    static final String BOOTSTRAP = Optional.ofNullable(System.getenv("BOOTSTRAP")).orElse("127.0.0.1:9092");

    private static final PrintStream TERMINAL = System.out;
    private static final ByteArrayOutputStream PRINTED = new ByteArrayOutputStream();
    private static final List<Runnable> HOOKS = new ArrayList<>();
    private static Integer exitCode;
    private static int checks;

    static {
        // Scala's Console keeps the stream that it first meets: so there is only this one.
        var capture = new PrintStream(PRINTED, true, StandardCharsets.UTF_8);
        System.setOut(capture);
        System.setErr(capture);
        // A tool whose exit throws may take that for a failure and exit once more: the first counts.
        Exit.Procedure exit = (code, message) -> {
            if (exitCode == null) exitCode = code;
            if (message != null) System.out.println(message);
            throw new Exited();
        };
        Exit.setExitProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        Exit.setHaltProcedure(exit);
    }

    private Shell() {}

    private static final class Exited extends RuntimeException {
        private static final long serialVersionUID = 1L;

        Exited() {
            super("exit", null, false, false);
        }
    }

    /** What came of one call. */
    record Answer(int code, String text, String call) {
        /** Each pattern is found in the output, in this order. */
        Answer shows(String... patterns) {
            int from = 0;
            for (var pattern : patterns) {
                var matcher = Pattern.compile(pattern, Pattern.MULTILINE).matcher(text);
                if (!matcher.find(from)) throw new AssertionError("no /" + pattern + "/ after position " + from + " in the output of\n" + this);
                from = matcher.end();
                checks++;
            }
            return this;
        }

        Answer hides(String pattern) {
            if (Pattern.compile(pattern, Pattern.MULTILINE).matcher(text).find()) throw new AssertionError("/" + pattern + "/ in the output of\n" + this);
            checks++;
            return this;
        }

        @Override
        public String toString() {
            return call + "\nexit code " + code + "\n" + text;
        }
    }

    /** A call that must succeed. `--bootstrap-server` is added. */
    static Answer run(Class<?> tool, String... arguments) {
        return expect(true, "", tool, arguments);
    }

    /** A call that must succeed, of a tool that takes `--bootstrap-server` elsewhere. */
    static Answer runAsGiven(Class<?> tool, String... arguments) {
        return call(true, "", tool, List.of(arguments));
    }

    /** A call that must fail. */
    static Answer fails(Class<?> tool, String... arguments) {
        return expect(false, "", tool, arguments);
    }

    /** A call that reads its standard input. */
    static Answer feed(String input, Class<?> tool, String... arguments) {
        return expect(true, input, tool, arguments);
    }

    private static Answer expect(boolean success, String input, Class<?> tool, String... arguments) {
        var all = new ArrayList<>(List.of("--bootstrap-server", BOOTSTRAP));
        all.addAll(Arrays.asList(arguments));
        return call(success, input, tool, all);
    }

    private static Answer call(boolean success, String input, Class<?> tool, List<String> all) {
        PRINTED.reset();
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        exitCode = null;
        try {
            tool.getMethod("main", String[].class).invoke(null, (Object) all.toArray(String[]::new));
        } catch (java.lang.reflect.InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Exited)) {
                exitCode = 1;
                thrown.getCause().printStackTrace();
            }
        } catch (ReflectiveOperationException impossible) {
            throw new AssertionError(impossible);
        }
        HOOKS.forEach(Runnable::run); // where the console producer sends what it still holds
        HOOKS.clear();
        System.out.flush();
        int code = exitCode == null ? 0 : exitCode;
        var answer = new Answer(code, PRINTED.toString(StandardCharsets.UTF_8), tool.getSimpleName() + " " + String.join(" ", all));
        // A tool that prints its error and returns has failed as well.
        boolean failed = code != 0 || Pattern.compile("^Error|^Command line error|Exception: ", Pattern.MULTILINE).matcher(answer.text()).find();
        if (failed == success) throw new AssertionError((success ? "failed: " : "did not fail: ") + answer);
        checks++;
        return answer;
    }

    /** What a change brings is seen a moment after the change is answered. */
    static void eventually(Runnable check) {
        for (var deadline = System.nanoTime() + 20_000_000_000L;;) {
            try {
                check.run();
                return;
            } catch (AssertionError early) {
                if (System.nanoTime() > deadline) throw early;
            }
        }
    }

    static void say(String line) {
        TERMINAL.println(line);
    }

    static int checks() {
        return checks;
    }
}
