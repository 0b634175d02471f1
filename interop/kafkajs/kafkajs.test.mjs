// kafkajs as its users write it: produce, consume, seek, share a group, administrate.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = kafkajs
CompressionCodecs[CompressionTypes.Snappy] = snappy

const kafka = new Kafka({
  clientId: 'kafkajs-interop',
  brokers: [process.env.BOOTSTRAP ?? '127.0.0.1:9092'],
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 8 },
})
// A time that no retention reaches while a test runs.
const hourAgo = Date.now() - 3_600_000
const fresh = what => `kafkajs-${what}-${randomUUID().slice(0, 8)}`
const admin = kafka.admin()
await admin.connect()
after(() => admin.disconnect())

const until = async (what, condition) => {
  for (const deadline = Date.now() + 30_000; !(await condition()); await sleep(20)) {
    assert.ok(Date.now() < deadline, `never happened: ${what}`)
  }
}

const createTopic = async (numPartitions = 1, config = {}) => {
  const topic = fresh('topic')
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value: `${value}` }))
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, configEntries }] })
  return topic
}

const produce = async (topic, messages, { compression, ...options } = {}) => {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
  await producer.connect()
  try {
    return await producer.send({ topic, messages, compression })
  } finally {
    await producer.disconnect()
  }
}

// A member of a group, with what it owns and has read.
const join = async (groupId, topic, onMessage) => {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 200, maxWaitTimeInMs: 200 })
  const member = { consumer, owned: [], messages: [] }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => { member.owned = payload.memberAssignment[topic] ?? [] })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ partition, message }) => { member.messages.push({ partition, ...message }) },
  })
  return member
}

const read = async (topic, count, before = () => {}) => {
  const member = await join(fresh('group'), topic)
  before(member.consumer)
  await until(`${count} messages`, () => member.messages.length >= count)
  await member.consumer.disconnect()
  return member.messages
}

const refusedAs = type => error => {
  const inner = error.cause?.errors?.[0] ?? error.errors?.[0] ?? error.cause ?? error
  assert.equal(inner.type ?? error.type, type, error.stack)
  return true
}


describe('kafkajs', { concurrency: 4, timeout: 90_000 }, () => {
  for (const [name, compression] of [['none', 0], ['gzip', 1], ['snappy', 2]]) {
    test(`records come back as sent (${name})`, async () => {
      const topic = await createTopic()
      const sent = Array.from({ length: 300 }, (_, i) => ({
        key: `k${i}`, value: Buffer.alloc(300, i), timestamp: `${hourAgo + i}`, headers: { trace: Buffer.from([0, 255]) },
      }))
      sent.push({ key: null, value: 'no key' }, { key: 'no value', value: null })
      const [answer] = await produce(topic, sent, { compression })
      assert.equal(answer.baseOffset, '0')
      const got = await read(topic, sent.length)
      sent.forEach((want, i) => {
        assert.equal(got[i].offset, `${i}`)
        assert.deepEqual(got[i].key, want.key === null ? null : Buffer.from(want.key))
        assert.deepEqual(got[i].value, want.value === null ? null : Buffer.from(want.value))
        if (want.timestamp) {
          assert.equal(got[i].timestamp, want.timestamp)
          assert.deepEqual(got[i].headers.trace, want.headers.trace)
        }
      })
    })
  }

  test('a key goes where Java would send it, and keys spread', async () => {
    const topic = await createTopic(6)
    const answers = await produce(topic, Array.from({ length: 50 }, (_, i) => ({ key: `key-${i}`, value: 'x' })))
    assert.deepEqual(answers.map(answer => answer.partition).sort(), [0, 1, 2, 3, 4, 5])
    const homes = Object.fromEntries((await read(topic, 50)).map(message => [message.key, message.partition]))
    assert.deepEqual([0, 1, 2, 3].map(i => homes[`key-${i}`]), [1, 0, 2, 5])
  })

  test('seek to an offset and to a time', async () => {
    const topic = await createTopic()
    const start = hourAgo
    await produce(topic, Array.from({ length: 100 }, (_, i) => ({ value: `${i}`, timestamp: `${start + 1000 * i}` })))
    const rest = await read(topic, 5, consumer => consumer.seek({ topic, partition: 0, offset: '95' }))
    assert.equal(rest.at(-1).value.toString(), '99')
    assert.deepEqual(await admin.fetchTopicOffsets(topic), [{ partition: 0, offset: '100', low: '0', high: '100' }])
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp(topic, start + 41_001), [{ partition: 0, offset: '42' }])
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp(topic, start + 99_001), [{ partition: 0, offset: '100' }])
  })

  test('members share partitions, leave and resume', async () => {
    const topic = await createTopic(6)
    const groupId = fresh('group')
    const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => ({ value: `${from + i}`, partition: i % 6 }))
    const members = await Promise.all([1, 2, 3].map(() => join(groupId, topic)))
    const shared = among => () => among.every(member => member.owned.length > 0) &&
      JSON.stringify(among.flatMap(member => member.owned).sort()) === '[0,1,2,3,4,5]'
    const values = () => members.flatMap(member => member.messages.map(message => Number(message.value)))
    await until('three share', shared(members))
    await produce(topic, numbers(0, 60))
    await until('all is read', () => new Set(values()).size === 60)
    await members[2].consumer.disconnect()
    await until('two share', shared(members.slice(0, 2)))

    const described = (await admin.describeGroups([groupId])).groups[0]
    assert.equal(described.state, 'Stable')
    assert.equal(described.members.length, 2)
    await assert.rejects(admin.deleteGroups([groupId]), error => {
      assert.equal(error.groups[0].error.type, 'NON_EMPTY_GROUP')
      return true
    })
    await Promise.all(members.slice(0, 2).map(member => member.consumer.disconnect()))

    await produce(topic, numbers(60, 66))
    const late = await join(groupId, topic)
    await until('the rest', () => late.messages.length >= 6)
    assert.deepEqual(late.messages.map(message => Number(message.value)).sort(), [60, 61, 62, 63, 64, 65])
    await late.consumer.disconnect()
    const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] })
    assert.deepEqual(offsets.partitions.map(({ offset }) => offset), Array(6).fill('11'))
    await admin.resetOffsets({ groupId, topic, earliest: true })
    const [reset] = await admin.fetchOffsets({ groupId, topics: [topic], resolveOffsets: true })
    assert.deepEqual(reset.partitions.map(({ offset }) => offset), Array(6).fill('0'))
    assert.ok((await admin.listGroups()).groups.some(group => group.groupId === groupId))
    await admin.deleteGroups([groupId])
  })

  test('an idempotent producer writes once and in order', async () => {
    const topic = await createTopic()
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    for (let i = 0; i < 50; i++) await producer.send({ topic, messages: [{ value: `${i}` }] })
    await producer.disconnect()
    assert.deepEqual((await read(topic, 50)).map(message => message.value.toString()), Array.from({ length: 50 }, (_, i) => `${i}`))
  })

  test('errors have their types', async () => {
    const topic = await createTopic(2, { 'max.message.bytes': 2000 })
    await assert.rejects(produce(topic, [{ value: Buffer.alloc(2100) }]), refusedAs('MESSAGE_TOO_LARGE'))
    await assert.rejects(produce('no spaces allowed', [{ value: 'x' }], { retry: { retries: 1 } }), refusedAs('INVALID_TOPIC_EXCEPTION'))
    await assert.rejects(
      produce(fresh('absent'), [{ value: 'x' }], { allowAutoTopicCreation: false, retry: { retries: 1, initialRetryTime: 10 } }),
      refusedAs('UNKNOWN_TOPIC_OR_PARTITION'))
    assert.equal(await admin.createTopics({ topics: [{ topic }] }), false, 'it exists')
    await assert.rejects(admin.createTopics({ topics: [{ topic: 'not/allowed' }] }), refusedAs('INVALID_TOPIC_EXCEPTION'))
    await assert.rejects(admin.createTopics({ topics: [{ topic: fresh('t'), replicationFactor: 3 }] }), refusedAs('INVALID_REPLICATION_FACTOR'))
    await assert.rejects(admin.createPartitions({ topicPartitions: [{ topic, count: 1 }] }), refusedAs('INVALID_PARTITIONS'))
  })

  test('admin', async () => {
    const topic = await createTopic()
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
    await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '1234' }] }] })
    await until('the new setting', async () => {
      const described = await admin.describeConfigs({ resources: [{ ...resource, configNames: ['retention.ms'] }], includeSynonyms: false })
      return described.resources[0].configEntries[0].configValue === '1234'
    })
    await produce(topic, Array.from({ length: 10 }, () => ({ value: 'x', partition: 0 })))
    await until('three partitions', async () => (await admin.fetchTopicOffsets(topic)).length === 3)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
    const offsets = await admin.fetchTopicOffsets(topic)
    assert.deepEqual(offsets.find(({ partition }) => partition === 0), { partition: 0, offset: '10', low: '4', high: '10' })
    const cluster = await admin.describeCluster()
    assert.equal(cluster.brokers.length, 1)
    assert.equal(cluster.controller, cluster.brokers[0].nodeId)
    assert.ok((await admin.listTopics()).includes(topic))
    await admin.deleteTopics({ topics: [topic] })
  })

  test('big records, a topic made by producing, an empty topic', async () => {
    const topic = fresh('auto')
    await produce(topic, [{ value: Buffer.alloc(1_000_000) }])
    assert.equal((await read(topic, 1))[0].value.length, 1_000_000)
    const empty = await join(fresh('group'), await createTopic())
    await until('it has joined', () => empty.owned.length === 1)
    await sleep(500)
    assert.deepEqual(empty.messages, [])
    await empty.consumer.disconnect()
  })
})
