// Sends events with the unmodified library, as a shop's server would, and says
// how many: HOST and WRITE_KEY name where, COUNT how many of each kind.
import { Analytics } from '@segment/analytics-node'

const count = Number(process.env.COUNT)
const analytics = new Analytics({
  writeKey: process.env.WRITE_KEY,
  host: process.env.HOST,
  flushAt: 20,
  flushInterval: 50,
  maxRetries: 10,
})
analytics.on('error', (error) => {
  console.error('the library gave up:', error)
  process.exitCode = 1
})

let sent = 0
const said = () => sent++
for (let i = 0; i < count; i++) {
  const anonymousId = `browser-${i}`
  const userId = `user-${i}`
  analytics.page({ anonymousId, name: 'Home', properties: { url: `https://shop.test/${i}?utm_source=instagram`, title: 'Home' } }, said)
  analytics.track({ anonymousId, event: 'Product Viewed', properties: { name: `"hat" <b>${i}</b> \u{1F452}`, price: 19.9 } }, said)
  analytics.identify({ anonymousId, userId, traits: { email: `User${i}@Example.com`, firstName: 'Ada' } }, said)
  analytics.group({ userId, groupId: 'club', traits: { name: 'Club' } }, said)
  analytics.screen({ userId, name: 'Basket', properties: {} }, said)
  analytics.alias({ previousId: `old-${i}`, userId }, said)
  analytics.track({ userId, event: 'Order Completed', timestamp: new Date(Date.now() - 60000), properties: { order_id: `order-${i}`, total: 19.9, currency: 'EUR' } }, said)
}
await analytics.closeAndFlush({ timeout: 50000 })
console.log(sent)
