import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Produced;

/** Kafka Streams counts words exactly once, as one of several instances: `arguments` are its id and the folder of its state. */
final class WordCount {
    private WordCount() {}

    public static void main(String[] arguments) {
        var config = new Properties();
        config.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
        config.put("application.id", "streams");
        config.put("client.id", "streams-" + arguments[0]);
        config.put("state.dir", arguments[1]);
        config.put("processing.guarantee", "exactly_once_v2");
        config.put("replication.factor", "3");
        config.put("default.key.serde", Serdes.StringSerde.class);
        config.put("default.value.serde", Serdes.StringSerde.class);
        // Without a cache every count comes out.
        config.put("statestore.cache.max.bytes", "0");
        config.put("main.consumer.session.timeout.ms", "6000");
        config.put("main.consumer.heartbeat.interval.ms", "1500");

        var builder = new StreamsBuilder();
        builder.<String, String>stream("lines")
                .flatMapValues(line -> List.of(line.split(" ")))
                .groupBy((number, word) -> word)
                .count()
                .toStream()
                .mapValues(String::valueOf)
                .to("streams", Produced.with(Serdes.String(), Serdes.String()));
        var streams = new KafkaStreams(builder.build(), config);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
        streams.start();
    }
}
