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

  private static let day = 86_400.0

  /// A start when the calendar is ahead of the kept time by so much.
  private static func started(ahead: Double, of kept: KeptClock) -> Clocks {
    var clocks = Clocks()
    clocks.ahead = ahead
    clocks.time = SteadyTime(calendar: clocks.calendar, elapsed: .zero, kept: kept)
    return clocks
  }

  private static let kept = KeptClock(time: start, calendar: start)

  @Test(
    "a start after an outage goes by the calendar",
    arguments: [0, 5, 3600, 3 * day - 1] as [Double])
  func startsLate(seconds: Double) {
    var clocks = Self.started(ahead: seconds, of: Self.kept)
    #expect(clocks.read(after: 1) == seconds + 1 && clocks.time.jump == nil)
    #expect(Self.kept.now(calendar: clocks.calendar) == clocks.calendar)
  }

  @Test(
    "a start with a calendar that is behind, or far ahead, is a jump like any other",
    arguments: [-3600, -26 * 365 * day, 3 * day + 10, 40 * day] as [Double])
  func startsWrong(seconds: Double) {
    var clocks = Self.started(ahead: seconds, of: Self.kept)
    #expect(clocks.time.jump?.seconds == seconds)
    #expect(Self.kept.now(calendar: clocks.calendar) == Self.start)
    #expect(clocks.read(after: 599) == 599)
    #expect(!clocks.time.isDue(elapsed: .seconds(clocks.elapsed)))
    #expect(clocks.read(after: 1) == 600)
    #expect(clocks.time.isDue(elapsed: .seconds(clocks.elapsed)))
    clocks.time.adopt(calendar: clocks.calendar, elapsed: .seconds(clocks.elapsed))
    #expect(clocks.read(after: 1) == 601 + seconds && clocks.time.jump == nil)
  }

  @Test("a time server that corrects the calendar after the start is followed at once")
  func correctedAfterStart() {
    var clocks = Self.started(ahead: -26 * 365 * Self.day, of: Self.kept)
    #expect(clocks.read(after: 30) == 30)
    // The machine was off for two hours.
    clocks.ahead = 7200
    #expect(clocks.read(after: 5) == 7235 && clocks.time.jump == nil)
    // From here on, as much is a jump.
    clocks.ahead = 14_400
    #expect(clocks.read(after: 5) == 7240 && clocks.time.jump?.seconds == 7200)
  }

  @Test(
    "a jump outlasts a restart, and so does its end",
    arguments: [7200, -7200, 40 * day] as [Double])
  func jumpOutlastsRestart(seconds: Double) {
    let kept = KeptClock(time: Self.start, calendar: Self.start.adding(seconds: seconds))
    // Ten seconds later the calendar is as wrong as it was.
    var wrong = Self.started(ahead: seconds + 10, of: kept)
    #expect(wrong.read(after: 1) == 11 && wrong.time.jump?.seconds == seconds)
    #expect(kept.now(calendar: wrong.calendar) == Self.start.adding(seconds: 11))
    var right = Self.started(ahead: 10, of: kept)
    #expect(right.read(after: 1) == 11 && right.time.jump == nil)
  }

  @Test("the time is kept anew after a minute, and when the clocks moved apart")
  func isDue() {
    let kept = KeptClock(time: Self.start, calendar: Self.start.adding(seconds: 100))
    func isDue(_ seconds: Double, _ ahead: Double) -> Bool {
      let time = Self.start.adding(seconds: seconds)
      return kept.isDue(time: time, calendar: time.adding(seconds: ahead))
    }
    #expect(!isDue(0, 100) && !isDue(59, 101))
    #expect(isDue(60, 100) && isDue(-1, 100) && isDue(5, 0) && isDue(5, 200))
  }
}
