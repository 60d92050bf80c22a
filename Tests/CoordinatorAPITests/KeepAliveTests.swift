import CoordinatorServer
import Synchronization
import Testing

@Suite struct KeepAliveTests {
  @Test func whoDoesNotRespondForLongIsNotKeptAlive() {
    let start = ContinuousClock.now
    let elapsed = Mutex(Duration.zero)
    let count = Mutex(0)
    let keepAlive = KeepAlive(
      every: .seconds(20), patience: .seconds(120),
      now: { start + elapsed.withLock { $0 } }, beat: { count.withLock { $0 += 1 } })
    func beats(after seconds: Int) -> Int {
      elapsed.withLock { $0 = .seconds(seconds) }
      keepAlive.look()
      return count.withLock { $0 }
    }
    #expect(beats(after: 0) == 1)
    // Late responses delay nothing, up to a bound.
    #expect(beats(after: 120) == 2)
    #expect(beats(after: 121) == 2)
    keepAlive.noteResponse()
    #expect(beats(after: 240) == 3)
    #expect(beats(after: 242) == 3)
  }

  @Test func keepAlivesComeFromAThreadOfTheirOwn() async {
    let (beats, continuation) = AsyncStream<Void>.makeStream()
    let keepAlive = KeepAlive(every: .milliseconds(1), patience: .seconds(3600)) {
      continuation.yield()
    }
    keepAlive.start()
    var heard = 0
    for await _ in beats {
      heard += 1
      if heard == 3 { break }
    }
    #expect(heard == 3)
  }
}
