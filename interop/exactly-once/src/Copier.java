import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.TransactionalMessageCopier;

/**
 * Kafka's TransactionalMessageCopier as member `arguments[0]` of a group, with random aborts. It ends when it has copied
 * what there was at its last rebalance; then another begins, under the same transactional id.
 */
final class Copier {
    private Copier() {}

    private static final class Exited extends Error {
        private static final long serialVersionUID = 1L;

        final int code;

        Exited(int code) {
            super("exit " + code, null, false, false);
            this.code = code;
        }
    }

    public static void main(String[] arguments) {
        Exit.setExitProcedure((code, message) -> {
            throw new Exited(code);
        });
        Exit.setShutdownHookAdder((name, hook) -> {});
        var copier = new String[] {"--broker-list", System.getenv("BOOTSTRAP"), "--input-topic", "lines", "--input-partition", "-1", "--output-topic", "copier",
            "--consumer-group", "copier", "--transactional-id", "copier-" + arguments[0], "--transaction-size", "50", "--enable-random-aborts", "--group-mode",
            "--use-group-metadata"};
        for (;;) {
            try {
                TransactionalMessageCopier.main(copier);
            } catch (Exited exited) {
                if (exited.code != 0) Runtime.getRuntime().halt(exited.code);
            }
        }
    }
}
