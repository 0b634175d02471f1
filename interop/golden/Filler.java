import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.*;
import org.apache.kafka.common.record.internal.*;

/**
 * Gives every field of a message that a version has a value computed from the field's name and
 * place, so that whoever reads it back can tell whether it landed in the right field.
 *
 * A place is the path of names in lower case without underscores, such as {@code topics[1].name}.
 */
class Filler {
    private final int filling;
    private final boolean nulls;
    /** Give a value to this one field alone (array indexes left out); null: to all. */
    String only;
    int leaves;

    Filler(int filling, boolean nulls) {
        this.filling = filling;
        this.nulls = nulls;
    }

    void fill(Object target, Schema schema, String prefix) throws Exception {
        boolean flexible = false;
        for (Field field : fields(schema)) fillField(target, field, prefix);
        for (BoundField bound : schema.fields()) flexible |= bound.def.type instanceof TaggedFields;
        countAbsent(target, schema, prefix);
        if (flexible && nulls) {
            var unknown = ((Message) target).unknownTaggedFields();
            unknown.add(new RawTaggedField(500, "first".getBytes(StandardCharsets.UTF_8)));
            unknown.add(new RawTaggedField(70_000, new byte[0]));
        }
    }

    /** A flag that the version lacks may look as if it had been given its value: it counts, too. */
    private void countAbsent(Object target, Schema schema, String prefix) throws Exception {
        Set<String> present = new HashSet<>();
        for (Field field : fields(schema)) present.add(canonical(field.name));
        for (var place : target.getClass().getDeclaredFields()) {
            String name = canonical(place.getName());
            if (place.getType() != boolean.class || present.contains(name)) continue;
            place.setAccessible(true);
            if (place.getBoolean(target) == flag(name)) leaves++;
        }
    }

    private boolean flag(String name) {
        return (hash(name, filling) & 1) == 1;
    }

    /** All fields of a structure, tagged ones last. */
    private static List<Field> fields(Schema schema) {
        List<Field> fields = new ArrayList<>();
        List<Field> tagged = new ArrayList<>();
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tags) tagged.addAll(tags.fields().values());
            else fields.add(bound.def);
        }
        fields.addAll(tagged);
        return fields;
    }

    /** The paths of all fields, and of those that may be null once more with {@code =null}. */
    static Set<String> paths(Schema schema) {
        Set<String> paths = new TreeSet<>();
        collect(schema, "", paths);
        return paths;
    }

    private static void collect(Schema schema, String prefix, Set<String> paths) {
        for (Field field : fields(schema)) {
            String path = prefix + canonical(field.name);
            paths.add(path);
            if (field.type.isNullable()) paths.add(path + "=null");
            Type inner = field.type.arrayElementType().orElse(field.type);
            if (inner instanceof Schema struct) collect(struct, path + ".", paths);
        }
    }

    /** Pairs of fields in one structure that had the same value in every filling so far. */
    static int lookAlikes(Schema schema, int last) {
        int pairs = 0;
        Map<List<Object>, String> seen = new HashMap<>();
        for (Field field : fields(schema)) {
            Type inner = field.type.arrayElementType().orElse(field.type);
            if (inner instanceof Schema struct) pairs += lookAlikes(struct, last);
            String kind = kind(field.type);
            List<Object> values = new ArrayList<>();
            values.add(kind);
            boolean both = false;
            for (int filling = 0; filling <= last; filling++) {
                long hash = hash(canonical(field.name), filling);
                values.add(kind.equals("BOOLEAN") ? hash & 1 : kind.equals("INT8") ? hash % 100 : hash);
                both |= (hash & 1) != (hash(canonical(field.name), 0) & 1);
            }
            if (kind.equals("BOOLEAN") && !both) pairs++;
            if (seen.put(values, field.name) != null) pairs++;
        }
        return pairs;
    }

    private static String kind(Type type) {
        if (type instanceof Schema) return "struct";
        return type.arrayElementType().map(inner -> "[" + kind(inner)).orElse(type.toString());
    }

    private static String canonical(String name) {
        return name.replace("_", "").toLowerCase(Locale.ROOT);
    }

    private boolean wanted(String path) {
        if (only == null) return true;
        String plain = path.replaceAll("\\[\\d+\\]", ""), goal = only.replace("=null", "");
        return plain.equals(goal) || goal.startsWith(plain + ".");
    }

    private void fillField(Object target, Field field, String prefix) throws Exception {
        String path = prefix + canonical(field.name);
        java.lang.reflect.Field place = place(target.getClass(), field.name);
        boolean nullable = field.type.isNullable();
        boolean needed = BaseRecords.class.isAssignableFrom(place.getType()) && !nullable;
        if (!needed && !wanted(path)) return;
        boolean nulled = only != null && only.equals(path.replaceAll("\\[\\d+\\]", "") + "=null");
        if (nulled || (nulls && nullable)) {
            place.set(target, null);
            return;
        }
        Optional<Type> element = field.type.arrayElementType();
        if (element.isPresent()) {
            place.set(target, array(place, element.get(), path));
        } else if (field.type instanceof Schema struct) {
            Object value = place.getType().getDeclaredConstructor().newInstance();
            fill(value, struct, path + ".");
            place.set(target, value);
        } else {
            place.set(target, leaf(place.getType(), path, field.type.toString()));
        }
    }

    private Object array(java.lang.reflect.Field place, Type element, String path) throws Exception {
        @SuppressWarnings("unchecked")
        Collection<Object> values = place.getType() == List.class
            ? new ArrayList<>() : (Collection<Object>) place.getType().getDeclaredConstructor().newInstance();
        for (int i = 0; i < (nulls || only != null ? 1 : 2); i++) {
            String at = path + "[" + i + "]";
            if (element instanceof Schema struct) {
                Object value = elementClass(place).getDeclaredConstructor().newInstance();
                fill(value, struct, at + ".");
                values.add(value);
            } else {
                values.add(leaf(elementClass(place), at, element.toString()));
            }
        }
        return values;
    }

    private static Class<?> elementClass(java.lang.reflect.Field place) {
        var generic = place.getType() == List.class
            ? (ParameterizedType) place.getGenericType()
            : (ParameterizedType) place.getType().getGenericSuperclass();
        return (Class<?>) generic.getActualTypeArguments()[0];
    }

    private static java.lang.reflect.Field place(Class<?> type, String name) {
        for (var place : type.getDeclaredFields()) {
            if (canonical(place.getName()).equals(canonical(name)) && !java.lang.reflect.Modifier.isStatic(place.getModifiers())) {
                place.setAccessible(true);
                return place;
            }
        }
        throw new IllegalStateException("no " + name + " in " + type);
    }

    /** FNV-1a, stirred so that every bit depends on every byte, made positive. */
    private static long hash(String path, int filling) {
        long hash = 0xcbf29ce484222325L;
        for (byte b : (path + "#" + filling).getBytes(StandardCharsets.UTF_8)) hash = (hash ^ b) * 0x100000001b3L;
        hash = (hash ^ hash >>> 33) * 0xff51afd7ed558ccdL;
        return (hash ^ hash >>> 33) & Long.MAX_VALUE;
    }

    /** Numbers stay clear of every default in Kafka's messages. */
    private Object leaf(Class<?> type, String path, String kind) {
        leaves++;
        String name = path.substring(path.lastIndexOf('.') + 1);
        long hash = hash(path, filling);
        String text = name + "-" + hash % 1000;
        if (type == boolean.class) return flag(name);
        if (type == byte.class || type == Byte.class) return (byte) (20 + hash(name, filling) % 100);
        if (type == short.class || type == Short.class) return (short) (200 + hash % 30_000);
        if (kind.equals("UINT16")) return (int) (200 + hash % 65_000);
        if (type == int.class || type == Integer.class) return (int) (100_000 + hash % 2_000_000_000L);
        if (type == long.class || type == Long.class) return 10_000_000_000L + hash % 1_000_000_000_000_000_000L;
        if (type == double.class) return hash % 1_000_000 + 0.125;
        if (type == String.class) return text;
        if (type == Uuid.class) return new Uuid(hash, hash * 31 | 1);
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (type == byte[].class) return bytes;
        if (type == ByteBuffer.class) return ByteBuffer.wrap(bytes);
        if (type == BaseRecords.class) return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes));
        throw new IllegalStateException("no value of type " + type + " for " + path);
    }
}
