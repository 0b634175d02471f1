// @platformatic/kafka as its users write it: produce, consume, share a group, administrate.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin, Consumer, MessagesStreamFallbackModes, MessagesStreamModes, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'

const base = { clientId: 'platformatic-interop', bootstrapBrokers: [process.env.BOOTSTRAP ?? '127.0.0.1:9092'], retries: 5, retryDelay: 100 }
// A time that no retention reaches while a test runs.
const hourAgo = Date.now() - 3_600_000
const fresh = what => `platformatic-${what}-${randomUUID().slice(0, 8)}`
const admin = new Admin(base)
after(() => admin.close())

const until = async (what, condition) => {
  for (const deadline = Date.now() + 30_000; !(await condition()); await sleep(20)) {
    assert.ok(Date.now() < deadline, `never happened: ${what}`)
  }
}

const createTopic = async (partitions = 1, configs = {}) => {
  const topic = fresh('topic')
  const entries = Object.entries(configs).map(([name, value]) => ({ name, value: `${value}` }))
  await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs: entries })
  // The controller answers; the broker knows a moment later.
  await until(topic, async () => (await admin.listTopics()).includes(topic))
  return topic
}

const produce = async (messages, options = {}) => {
  const producer = new Producer({ ...base, serializers: stringSerializers, ...options })
  try {
    return await producer.send({ messages })
  } finally {
    await producer.close()
  }
}

// A member of a group, with what it owns and has read.
const join = async (groupId, topic, options = {}) => {
  const consumer = new Consumer({
    ...base, groupId, deserializers: stringDeserializers, sessionTimeout: 10_000, heartbeatInterval: 200, maxWaitTime: 200,
  })
  const { COMMITTED } = MessagesStreamModes
  const { EARLIEST } = MessagesStreamFallbackModes
  const stream = await consumer.consume({ topics: [topic], autocommit: false, mode: COMMITTED, fallbackMode: EARLIEST, ...options })
  const member = {
    consumer,
    messages: [],
    get owned () { return consumer.assignments?.find(assignment => assignment.topic === topic)?.partitions ?? [] },
    leave: async () => {
      await stream.close()
      await consumer.close(true)
    },
  }
  stream.on('data', message => {
    member.messages.push(message)
    message.commit()
  })
  return member
}

const read = async (topic, count, options) => {
  const member = await join(fresh('group'), topic, options)
  await until(`${count} messages`, () => member.messages.length >= count)
  await member.leave()
  return member.messages
}

// The broker's code, wherever in the chain of causes it stands.
const refusedAs = id => error => {
  const ids = []
  const walk = one => {
    if (!one) return
    ids.push(one.apiId)
    one.errors?.forEach(walk)
    walk(one.cause)
  }
  walk(error)
  assert.ok(ids.includes(id), `${id} is not in ${ids}: ${error.stack}`)
  return true
}

describe('@platformatic/kafka', { concurrency: 4, timeout: 90_000 }, () => {
  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    // Node itself has zstd from 22.15 on.
    const skip = compression === 'zstd' && Number(process.versions.node.split('.')[0]) < 22
    test(`records come back as sent (${compression})`, { skip }, async () => {
      const topic = await createTopic()
      const sent = Array.from({ length: 300 }, (_, i) => ({
        topic, key: `k${i}`, value: `${i}`.repeat(100), timestamp: BigInt(hourAgo + i), headers: { trace: 'abc' },
      }))
      const answer = await produce(sent, { compression })
      assert.equal(answer.offsets[0].offset, 0n)
      const got = await read(topic, sent.length)
      sent.forEach((want, i) => {
        assert.deepEqual([got[i].offset, got[i].key, got[i].value, got[i].timestamp], [BigInt(i), want.key, want.value, want.timestamp])
        assert.deepEqual([...got[i].headers], [['trace', 'abc']])
      })
    })
  }

  test('a key keeps its partition and keys spread', async () => {
    const topic = await createTopic(6)
    const messages = Array.from({ length: 100 }, (_, i) => ({ topic, key: `key-${i % 50}`, value: 'x' }))
    await produce(messages)
    const homes = {}
    for (const { key, partition } of await read(topic, 100)) assert.equal(homes[key] ??= partition, partition)
    assert.deepEqual([...new Set(Object.values(homes))].sort(), [0, 1, 2, 3, 4, 5])
  })

  test('seek to an offset and to a time', async () => {
    const topic = await createTopic()
    const start = hourAgo
    await produce(Array.from({ length: 100 }, (_, i) => ({ topic, value: `${i}`, timestamp: BigInt(start + 1000 * i) })))
    const rest = await read(topic, 5, { mode: MessagesStreamModes.MANUAL, offsets: [{ topic, partition: 0, offset: 95n }] })
    assert.deepEqual(rest.map(message => message.value), ['95', '96', '97', '98', '99'])
    const at = async timestamp => {
      const [{ partitions }] = await admin.listOffsets({ topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: BigInt(timestamp) }] }] })
      return partitions[0].offset
    }
    assert.deepEqual([await at(-2), await at(-1), await at(-3)], [0n, 100n, 99n])
    assert.deepEqual([await at(start + 41_001), await at(start + 42_000), await at(start + 99_001)], [42n, 42n, -1n])
  })

  test('members share partitions, leave and resume', async () => {
    const topic = await createTopic(6)
    const groupId = fresh('group')
    const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => ({ topic, value: `${from + i}`, partition: i % 6 }))
    const members = await Promise.all([1, 2, 3].map(() => join(groupId, topic)))
    const shared = among => () => among.every(member => member.owned.length > 0) &&
      JSON.stringify(among.flatMap(member => member.owned).sort()) === '[0,1,2,3,4,5]'
    await until('three share', shared(members))
    await produce(numbers(0, 60))
    await until('all is read', () => new Set(members.flatMap(member => member.messages.map(message => message.value))).size === 60)
    await sleep(300) // the last commits
    await members[2].leave()
    await until('two share', shared(members.slice(0, 2)))

    const group = (await admin.describeGroups({ groups: [groupId] })).get(groupId)
    assert.equal(group.state, 'STABLE')
    assert.equal(group.members.size, 2)
    await assert.rejects(admin.deleteGroups({ groups: [groupId] }), refusedAs('NON_EMPTY_GROUP'))
    await Promise.all(members.slice(0, 2).map(member => member.leave()))

    await produce(numbers(60, 66))
    const late = await join(groupId, topic)
    await until('the rest', () => late.messages.length >= 6)
    assert.deepEqual(late.messages.map(message => message.value).sort(), ['60', '61', '62', '63', '64', '65'])
    await sleep(300)
    await late.leave()
    const [listed] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
    assert.deepEqual(listed.topics[0].partitions.map(partition => partition.committedOffset), Array(6).fill(11n))
    assert.ok((await admin.listGroups()).has(groupId))
    await admin.deleteGroups({ groups: [groupId] })
  })

  test('an idempotent producer writes once and in order', async () => {
    const topic = await createTopic()
    const producer = new Producer({ ...base, serializers: stringSerializers, idempotent: true })
    for (let i = 0; i < 50; i++) await producer.send({ messages: [{ topic, value: `${i}` }] })
    await producer.close()
    assert.deepEqual((await read(topic, 50)).map(message => message.value), Array.from({ length: 50 }, (_, i) => `${i}`))
  })

  test('errors have their types', async () => {
    const topic = await createTopic(1, { 'max.message.bytes': 2000 })
    await assert.rejects(produce([{ topic, value: 'x'.repeat(2100) }], { retries: 0 }), refusedAs('MESSAGE_TOO_LARGE'))
    await assert.rejects(produce([{ topic: fresh('absent'), value: 'x' }], { retries: 0 }), /Unknown topic/)
    await assert.rejects(admin.createTopics({ topics: [topic] }), refusedAs('TOPIC_ALREADY_EXISTS'))
    await assert.rejects(admin.createTopics({ topics: ['not/allowed'] }), refusedAs('INVALID_TOPIC_EXCEPTION'))
    await assert.rejects(admin.createTopics({ topics: [fresh('t')], replicas: 3 }), refusedAs('INVALID_REPLICATION_FACTOR'))
    await assert.rejects(admin.createPartitions({ topics: [{ name: topic, count: 1 }] }), refusedAs('INVALID_PARTITIONS'))
  })

  test('admin', async () => {
    const topic = await createTopic()
    await admin.createPartitions({ topics: [{ name: topic, count: 3 }] })
    const resource = { resourceType: 2, resourceName: topic }
    await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: [{ name: 'retention.ms', value: '1234', configOperation: 0 }] }] })
    await until('the new setting', async () => {
      const [described] = await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: ['retention.ms'] }] })
      return described.configs[0].value === '1234'
    })
    await produce(Array.from({ length: 10 }, () => ({ topic, value: 'x', partition: 0 })))
    const [deleted] = await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 4n }] }] })
    assert.equal(deleted.partitions[0].lowWatermark, 4n)
    assert.equal((await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] })).length, 1)
    assert.ok((await admin.listTopics()).includes(topic))
    await admin.deleteTopics({ topics: [topic] })
  })

  test('big records, a topic made by producing, an empty topic', async () => {
    const topic = fresh('auto')
    await produce([{ topic, value: 'x'.repeat(1_000_000) }], { autocreateTopics: true })
    assert.equal((await read(topic, 1))[0].value.length, 1_000_000)
    const empty = await join(fresh('group'), await createTopic())
    await sleep(500)
    assert.deepEqual(empty.messages, [])
    await empty.leave()
  })
})
