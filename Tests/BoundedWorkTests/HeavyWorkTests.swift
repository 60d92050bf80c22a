import BoundedWork
import Foundation
import Synchronization
import Testing

@Suite struct HeavyWorkTests {
  /// How many run at this moment, and how many did at most.
  private final class Gauge: Sendable {
    private let counts = Mutex((now: 0, most: 0))
    var most: Int { counts.withLock { $0.most } }

    func within(_ body: () -> Void) {
      counts.withLock {
        $0.now += 1
        $0.most = max($0.most, $0.now)
      }
      body()
      counts.withLock { $0.now -= 1 }
    }
  }

  /// Computes for some milliseconds.
  private static func compute() -> Int {
    (0..<2_000_000).reduce(0) { $0 &* 31 &+ $1 }
  }

  @Test(arguments: [1, 2])
  func noMoreRunAtOnceThanThereAreThreads(_ threads: Int) async throws {
    let heavy = HeavyWork(threads: threads)
    let gauge = Gauge()
    let sums = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<12 {
        group.addTask {
          try await heavy.run {
            var sum = 0
            gauge.within { sum = Self.compute() }
            // A suspension gives the thread to others; what follows runs on these threads again.
            await Task.yield()
            gauge.within { sum &+= Self.compute() }
            return sum
          }
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(sums).count == 1 && sums.count == 12)
    #expect(gauge.most <= threads)
  }

  @Test func workThatBlocksHoldsUpNobodyElse() async throws {
    let heavy = HeavyWork(threads: 2)
    let gate = DispatchSemaphore(value: 0)
    let blocked = Task {
      try await withThrowingTaskGroup(of: Void.self) { group in
        // More than there are processors: each would hold one of Swift's own threads.
        for _ in 0..<64 {
          group.addTask { try await heavy.run { gate.wait() } }
        }
        try await group.waitForAll()
      }
    }
    // Hops between tasks need Swift's own threads.
    for _ in 0..<100 { await Task { await Task.yield() }.value }
    for _ in 0..<64 { gate.signal() }
    try await blocked.value
  }

  @Test func errorsAndValuesComeBack() async throws {
    struct Wrong: Error {}
    let heavy = HeavyWork(threads: 1)
    #expect(try await heavy.run { 7 } == 7)
    await #expect(throws: Wrong.self) { try await heavy.run { throw Wrong() } }
  }
}
