import CoordinatorCore
import Testing

@Suite struct TimeLeftTests {
  @Test func theRestTakesAsLongAsWhatIsDoneDid() {
    #expect(TimeLeft.estimate(done: 25, of: 100, in: 60) == 180)
    #expect(TimeLeft.estimate(done: 100, of: 100, in: 60) == 0)
    // Estimates may fall short of what was done.
    #expect(TimeLeft.estimate(done: 110, of: 100, in: 60) == 0)
  }

  @Test(
    arguments: [(0, 100, 60), (0.4, 100, 60), (1, 0, 60), (10, 100, 0)]
      as [(Double, Double, Double)])
  func tooLittleTellsNothing(_ done: Double, _ all: Double, _ seconds: Double) {
    #expect(TimeLeft.estimate(done: done, of: all, in: seconds) == nil)
  }
}
