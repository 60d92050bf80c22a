import CoordinatorAPI
import CoordinatorDashboard
import Foundation
import HTTPTypes
import NIOCore
import Synchronization
import Testing

/// A page that the test changes, and counts the makings of.
private final class ChangingPage: Sendable {
  private let state = Mutex((text: "one", makings: 0))

  var makings: Int { state.withLock { $0.makings } }
  func change(to text: String) { state.withLock { $0.text = text } }
  func make() -> String {
    state.withLock {
      $0.makings += 1
      return $0.text
    }
  }
}

@Suite struct LivePagesTests {
  /// The markup in an event; nil for a comment.
  private func main(_ event: String?) throws -> String? {
    guard let line = event?.split(separator: "\n").first(where: { $0.hasPrefix("data: ") }) else {
      return nil
    }
    return try JSONDecoder().decode(String.self, from: Data(line.dropFirst(6).utf8))
  }

  @Test func aPageIsSentAtOnceAndThenWhenItChanges() async throws {
    let page = ChangingPage()
    let pages = LivePages(interval: .milliseconds(5), silence: .seconds(60))
    var events = pages.events(key: "/") { page.make() }.makeAsyncIterator()
    let first = await events.next()
    #expect(first?.hasPrefix("retry: 3000\nevent: main\n") == true)
    #expect(try main(first) == "one")
    page.change(to: "two\nlines & <b>\"markup\"</b>")
    let second = await events.next()
    #expect(second?.hasPrefix("event: main\n") == true && second?.hasSuffix("\n\n") == true)
    #expect(try main(second) == "two\nlines & <b>\"markup\"</b>")
  }

  @Test func silenceIsBrokenByAComment() async throws {
    let pages = LivePages(interval: .milliseconds(2), silence: .milliseconds(10))
    var events = pages.events(key: "/") { "same" }.makeAsyncIterator()
    _ = await events.next()
    #expect(await events.next() == ": still here\n\n")
  }

  @Test func manyWatchersCostOneMaking() async throws {
    let page = ChangingPage()
    let pages = LivePages(interval: .seconds(600), silence: .seconds(600))
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<50 {
        group.addTask {
          var events = pages.events(key: "/jobs") { page.make() }.makeAsyncIterator()
          _ = await events.next()
        }
      }
    }
    #expect(page.makings == 1)
    // Who is shown something else is no such watcher.
    var events = pages.events(key: "/jobs\nanother cookie") { page.make() }.makeAsyncIterator()
    _ = await events.next()
    #expect(page.makings == 2)
  }

  @Test func aPageThatIsGoneEndsTheStream() async throws {
    struct Gone: Error {}
    let pages = LivePages(interval: .milliseconds(2), silence: .seconds(60))
    var events = pages.events(key: "/jobs/x") { throw Gone() }.makeAsyncIterator()
    #expect(await events.next() == nil)
  }

  @Test func cancellationEndsTheStream() async throws {
    let pages = LivePages(interval: .seconds(600), silence: .seconds(600))
    let task = Task {
      var count = 0
      for await _ in pages.events(key: "/", { "same" }) { count += 1 }
      return count
    }
    task.cancel()
    #expect(await task.value <= 1)
  }

  @Test("streams are counted before a page is made, and one address does not have them all")
  func streamsAreLimited() async throws {
    let pages = LivePages(
      interval: .seconds(600), silence: .seconds(600), limit: 5, limitPerAddress: 3)
    let here = ClientNetwork(try SocketAddress(ipAddress: "192.0.2.1", port: 1))
    let there = ClientNetwork(try SocketAddress(ipAddress: "192.0.2.2", port: 1))
    let page = ChangingPage()
    func open(_ network: ClientNetwork, _ key: String) async -> Bool {
      (try? await pages.stream(key: key, from: network) { page.make() }) != nil
    }
    // All at once; what a stream that was never begun held is given back.
    let opened = try await withThrowingTaskGroup(of: Sendable?.self) { group in
      for number in 0..<20 {
        group.addTask {
          try? await pages.stream(key: "\(number)", from: here) { page.make() }
        }
      }
      var kept: [any Sendable] = []
      for try await response in group { if let response { kept.append(response) } }
      return kept
    }
    #expect(opened.count == 3)
    #expect(page.makings == 3)
    #expect(await !open(here, "a"))
    #expect(await open(there, "b"))
    withExtendedLifetime(opened) {}
  }

  @Test("the more pages are watched, the rarer each is made again")
  func watchedPagesShareTheTime() async throws {
    let page = ChangingPage()
    let pages = LivePages(interval: .milliseconds(1), silence: .seconds(60))
    // Each making takes 20 ms, of which a tenth of the time may be spent.
    let began = ContinuousClock.now
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<10 {
        group.addTask {
          let events = pages.events(key: "\(number)") {
            let end = ContinuousClock.now + .milliseconds(20)
            while .now < end {}
            return "\(page.makings) \(page.make())"
          }
          var iterator = events.makeAsyncIterator()
          for _ in 0..<2 { _ = await iterator.next() }
        }
      }
    }
    // Ten pages made again take their turns: nine waits of 200 ms at least.
    #expect(.now - began > .milliseconds(1500))
  }
}

@Suite struct ShortCacheTests {
  @Test func anAnswerIsMadeOnceForAllWhoAskTogether() async throws {
    let page = ChangingPage()
    let cache = ShortCache<String>(interval: .seconds(600))
    try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<50 { group.addTask { try await cache.value(for: "a") { page.make() } } }
      for try await text in group { #expect(text == "one") }
    }
    #expect(page.makings == 1)
  }

  @Test func answersAreForgottenAndTheirNumberIsBounded() async throws {
    let page = ChangingPage()
    let cache = ShortCache<String>(interval: .seconds(600), capacity: 2)
    for key in ["a", "b", "c", "c", "a"] { _ = try await cache.value(for: key) { page.make() } }
    #expect(page.makings == 4)
    #expect(cache.has("a") && cache.has("b") && !cache.has("c"))
    let brief = ShortCache<String>(interval: .milliseconds(1))
    _ = try await brief.value(for: "a") { page.make() }
    let deadline = ContinuousClock.now + .seconds(60)
    while brief.has("a"), .now < deadline { try await Task.sleep(for: .milliseconds(1)) }
    #expect(!brief.has("a"))
  }

  @Test func answersForOneAloneAreMadeAFewAtATime() async throws {
    let cache = ShortCache<String>(interval: .seconds(600), capacity: 0, alone: 2, waiting: 3)
    let gates = (0..<5).map { _ in AsyncStream<Void>.makeStream() }
    let (begun, beginnings) = AsyncStream<Void>.makeStream()
    let asked = gates.enumerated().map { number, gate in
      let closed = gate.stream
      return Task {
        try await cache.value(for: "\(number)") {
          beginnings.yield()
          for await _ in closed {}
          return "made"
        }
      }
    }
    var iterator = begun.makeAsyncIterator()
    for _ in 0..<2 { _ = await iterator.next() }
    let deadline = ContinuousClock.now + .seconds(60)
    while cache.waitingCount < 3, .now < deadline { await Task.yield() }
    #expect(cache.waitingCount == 3)
    let refused = await #expect(throws: APIError.self) {
      try await cache.value(for: "more") { "made" }
    }
    #expect(refused?.status == .serviceUnavailable && refused?.headers[.retryAfter] != nil)
    for gate in gates { gate.continuation.finish() }
    for task in asked { #expect(try await task.value == "made") }
    #expect(try await cache.value(for: "more") { "made" } == "made")
  }

  @Test func failuresAreNotKept() async throws {
    struct Broken: Error {}
    let cache = ShortCache<String>(interval: .seconds(600))
    await #expect(throws: Broken.self) { try await cache.value(for: "a") { throw Broken() } }
    #expect(try await cache.value(for: "a") { "made" } == "made")
  }
}
