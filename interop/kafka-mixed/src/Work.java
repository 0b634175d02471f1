import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;

/** Clients in threads of their own. The first that fails ends it for all. */
final class Work {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final int PATIENCE_SECONDS = 120;
    /** Clients that ask again soon, and for as long as a cluster may need to find its leaders. */
    private static final Map<String, Object> CLIENT = Map.of("bootstrap.servers", BOOTSTRAP, "retry.backoff.ms", "20", "retry.backoff.max.ms", "200");

    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final Supplier<String> seen;

    /** What was seen so far is told when something never happens. */
    Work(Supplier<String> seen) {
        this.seen = seen;
    }

    interface Body {
        void run() throws Exception;
    }

    Thread start(String name, Body body) {
        var thread = new Thread(() -> {
            try {
                body.run();
            } catch (Throwable error) {
                fail(error);
            }
        }, name);
        thread.start();
        return thread;
    }

    void fail(Throwable error) {
        failure.compareAndSet(null, error);
    }

    boolean hasFailed() {
        return failure.get() != null;
    }

    void await(String what, BooleanSupplier condition) throws Exception {
        for (var deadline = deadline(); !condition.getAsBoolean(); Thread.sleep(10)) {
            check();
            if (System.nanoTime() > deadline) throw new TimeoutException("never happened: " + what + "; " + seen.get());
        }
        check();
    }

    private void check() {
        var error = failure.get();
        if (error != null) throw new AssertionError("a client failed", error);
    }

    static long deadline() {
        return System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
    }

    static Map<String, Object> client(Map<String, Object> more) {
        var config = new HashMap<>(CLIENT);
        config.putAll(more);
        return config;
    }

    static KafkaProducer<Long, Long> producer(Map<String, Object> more) {
        var config = client(Map.of("acks", "all", "enable.idempotence", "true", "delivery.timeout.ms", "120000", "request.timeout.ms", "20000"));
        config.putAll(more);
        return new KafkaProducer<>(config, new LongSerializer(), new LongSerializer());
    }

    static KafkaConsumer<Long, Long> consumer(Map<String, Object> more) {
        var config = client(Map.of("auto.offset.reset", "none", "enable.auto.commit", "false", "default.api.timeout.ms", "120000"));
        config.putAll(more);
        return new KafkaConsumer<>(config, new LongDeserializer(), new LongDeserializer());
    }

    static final Duration POLL = Duration.ofMillis(100);
}
