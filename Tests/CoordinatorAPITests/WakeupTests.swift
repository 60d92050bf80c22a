import CoordinatorAPI
import Testing

@Suite struct WakeupTests {
  /// A wait that a signal ends must leave nothing behind that ends the next one.
  @Test func oneSignalEndsOneWait() async {
    let wakeup = Wakeup()
    for _ in 0..<5 {
      wakeup.signal()
      await wakeup.wait(atMost: .seconds(3600))
    }
    let clock = ContinuousClock()
    let start = clock.now
    await wakeup.wait(atMost: .milliseconds(300))
    #expect(clock.now - start >= .milliseconds(300))
  }

  @Test func cancellationEndsAWait() async {
    let wakeup = Wakeup()
    let waiter = Task { await wakeup.wait(atMost: .seconds(3600)) }
    waiter.cancel()
    await waiter.value
  }
}
