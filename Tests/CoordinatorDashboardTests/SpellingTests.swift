import CoordinatorCore
import CoordinatorDashboard
import Testing

@Suite struct SpellingTests {
  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (-12_345, "-12,345"),
    (Int.min, "-9,223,372,036,854,775,808"),
  ])
  func countsHaveGroups(_ number: Int, _ text: String) {
    #expect(Spelling.count(number) == text)
  }

  @Test(
    arguments: [
      (0, "0"), (0.123, "0.12"), (3.5, "3.5"), (42.04, "42"), (1234.4, "1,234"),
      (12.34e6, "12.3 M"),
      (4.5e9, "4.5 G"), (7e12, "7 T"), (.infinity, "-"), (.nan, "-"), (0.0001, "under 0.01"),
    ] as [(Double, String)])
  func amountsHaveThreeDigits(_ number: Double, _ text: String) {
    #expect(Spelling.amount(number) == text)
  }

  @Test(
    arguments: [
      (0, "0 s"), (0.2, "under 1 s"), (59.6, "1 min"), (200, "3 min 20 s"), (7200, "2 h"),
      (7500, "2 h 5 min"),
      (86_400, "1 day"), (270_000, "3 days 3 h"), (-5, "0 s"), (.infinity, "-"),
    ] as [(Double, String)])
  func durationsHaveTwoUnits(_ seconds: Double, _ text: String) {
    #expect(Spelling.duration(seconds) == text)
  }

  @Test func timesAreOfUTC() {
    let time = Timestamp(seconds: 1_795_824_942)
    #expect(Spelling.time(time) == "2026-11-28 00:15 UTC")
    #expect(Spelling.machineTime(time) == "2026-11-28T00:15:42Z")
  }
}
