import CoordinatorCore
import Testing

@Suite("Days and streaks")
struct StreakTests {
  @Test("a day begins at midnight of UTC and is spelled as a date")
  func days() {
    #expect(Day(containing: Timestamp(milliseconds: -1)).spelled == "1969-12-31")
    #expect(Day(containing: Timestamp(seconds: 1_709_164_799)).spelled == "2024-02-28")
    #expect(Day(containing: Timestamp(seconds: 1_709_164_800)).spelled == "2024-02-29")
  }

  @Test("a gap ends a streak, today may still come, and a clock set back changes nothing")
  func streak() {
    var streak = Streak()
    for day in [10, 10, 11, 12, 14, 13] { streak.add(Day(number: day)) }
    #expect(streak.longest == 3)
    #expect(streak.current(on: Day(number: 14)) == 1)
    #expect(streak.current(on: Day(number: 15)) == 1)
    #expect(streak.current(on: Day(number: 16)) == 0)
  }
}
