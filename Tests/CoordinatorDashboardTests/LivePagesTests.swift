import CoordinatorDashboard
import Foundation
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
}
