import BoundedWork
import Synchronization
import Testing

@Suite struct ByteBudgetTests {
  private let heavy = HeavyWork(threads: 2)

  /// Waits until `condition` holds, at most half a minute.
  private func until(_ condition: () -> Bool) async {
    let deadline = ContinuousClock.now + .seconds(30)
    while !condition() {
      guard ContinuousClock.now < deadline else {
        Issue.record("nothing happened for half a minute")
        return
      }
      await Task.yield()
    }
  }

  /// Work that goes on until it is let go.
  private final class Held: Sendable {
    private let (stream, continuation) = AsyncStream<Void>.makeStream()
    private let hasBegun = Atomic(false)
    var begun: Bool { hasBegun.load(ordering: .acquiring) }

    func hold() async {
      hasBegun.store(true, ordering: .releasing)
      for await _ in stream {}
    }

    func letGo() { continuation.finish() }
  }

  private typealias Started = (held: Held, task: Task<Void, any Error>)

  private func start(_ bytes: Int, of budget: ByteBudget) -> Started {
    let held = Held()
    return (held, Task { try await heavy.run(bytes: bytes, of: budget) { await held.hold() } })
  }

  /// Takes 60 bytes of a budget of 100, for which 70 and after them 10 bytes wait.
  private func crowd(
    _ budget: ByteBudget
  ) async -> (first: Started, large: Started, small: Started) {
    let first = start(60, of: budget)
    await until { first.held.begun }
    let large = start(70, of: budget)
    await until { budget.waitingCount == 1 }
    let small = start(10, of: budget)
    await until { budget.waitingCount == 2 }
    return (first, large, small)
  }

  @Test func whoDoesNotFitWaitsAndNobodyOvertakes() async throws {
    let budget = ByteBudget(limitBytes: 100, waiting: 10)
    let (first, large, small) = await crowd(budget)
    #expect(!large.held.begun && !small.held.begun && budget.takenBytes == 60)
    first.held.letGo()
    await until { large.held.begun && small.held.begun }
    #expect(budget.takenBytes == 80)
    for one in [large, small] { one.held.letGo() }
    for task in [first.task, large.task, small.task] { try await task.value }
    #expect(budget.takenBytes == 0)
  }

  @Test func whoWantsMoreThanThereIsWorksAlone() async throws {
    let budget = ByteBudget(limitBytes: 100, waiting: 10)
    let huge = start(1000, of: budget)
    await until { huge.held.begun }
    let other = start(1, of: budget)
    await until { budget.waitingCount == 1 }
    huge.held.letGo()
    await until { other.held.begun }
    other.held.letGo()
    for task in [huge.task, other.task] { try await task.value }
  }

  @Test func tooManyWhoWaitAreRefused() async throws {
    let budget = ByteBudget(limitBytes: 1, waiting: 1)
    let first = start(1, of: budget)
    await until { first.held.begun }
    let second = start(1, of: budget)
    await until { budget.waitingCount == 1 }
    await #expect(throws: ByteBudget.Exhausted.self) {
      try await heavy.run(bytes: 1, of: budget) {}
    }
    for one in [first, second] { one.held.letGo() }
    for task in [first.task, second.task] { try await task.value }
  }

  @Test func whoIsCancelledLetsOthersPass() async throws {
    let budget = ByteBudget(limitBytes: 100, waiting: 10)
    let (first, large, small) = await crowd(budget)
    large.task.cancel()
    await #expect(throws: CancellationError.self) { try await large.task.value }
    await until { small.held.begun }
    for one in [first, small] { one.held.letGo() }
    for task in [first.task, small.task] { try await task.value }
    #expect(budget.takenBytes == 0)
  }
}
