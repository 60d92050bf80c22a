import CoordinatorCore
import Testing

@Suite("Steady time")
struct SteadyTimeTests {
  private static let start = Timestamp(seconds: 2_000_000_000)

  /// Both clocks, with the calendar ahead by as much as somebody set it.
  private struct Clocks {
    var time = SteadyTime(calendar: start, elapsed: .zero)
    var elapsed = 0.0
    var ahead = 0.0

    var calendar: Timestamp { start.adding(seconds: elapsed + ahead) }

    /// Seconds since the start, as the coordinator goes by.
    mutating func read(after seconds: Double = 0) -> Double {
      elapsed += seconds
      return time.read(calendar: calendar, elapsed: .seconds(elapsed)).seconds(since: start)
    }
  }

  @Test(
    "a calendar that is set goes unnoticed for ten minutes",
    arguments: [-7300, 40 * 86_400] as [Double])
  func holds(seconds: Double) {
    var clocks = Clocks()
    #expect(clocks.read(after: 100) == 100)
    clocks.ahead = seconds
    #expect(clocks.read(after: 5) == 105)
    #expect(clocks.time.jump?.seconds == seconds)
    #expect(clocks.read(after: 599) == 704)
    #expect(!clocks.time.isDue(elapsed: .seconds(clocks.elapsed)))
    #expect(clocks.read(after: 1) == 705)
    #expect(clocks.time.isDue(elapsed: .seconds(clocks.elapsed)))
    // Until somebody decides, nothing changes.
    #expect(clocks.read(after: 60) == 765)
    clocks.time.adopt(calendar: clocks.calendar, elapsed: .seconds(clocks.elapsed))
    #expect(clocks.read(after: 10) == 775 + seconds && clocks.time.jump == nil)
  }

  @Test("a calendar that comes back was never away")
  func comesBack() {
    var clocks = Clocks()
    clocks.ahead = -7200
    #expect(clocks.read(after: 5) == 5)
    clocks.ahead = 0
    #expect(clocks.read(after: 1) == 6 && clocks.time.jump == nil)
    // The next jump has its own ten minutes.
    clocks.ahead = 3600
    #expect(clocks.read(after: 1000) == 1006)
    #expect(!clocks.time.isDue(elapsed: .seconds(clocks.elapsed)))
  }

  @Test("each further jump begins the wait anew")
  func jumpsAgain() {
    var clocks = Clocks()
    clocks.ahead = 3600
    _ = clocks.read(after: 1)
    clocks.ahead = 7200
    #expect(clocks.read(after: 590) == 591)
    #expect(!clocks.time.isDue(elapsed: .seconds(clocks.elapsed + 20)))
  }

  @Test("what a time server corrects is followed at once, for however long")
  func slews() {
    var clocks = Clocks()
    for _ in 0..<1000 {
      clocks.ahead += 0.5
      let now = clocks.read(after: 60)
      #expect(now == clocks.elapsed + clocks.ahead && clocks.time.jump == nil)
    }
  }
}
