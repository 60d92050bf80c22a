import Foundation
import Testing
import WorkerDaemon

@Suite struct LocalTimeTests {
  /// Working hours and months are those of the zone that holds now. In a process of its own, since
  /// the zone is that of a whole process.
  @Test func theTimeZoneIsThatOfNow() async {
    await #expect(processExitsWith: .success) {
      // 2027-01-15 08:00 UTC, a Friday; POSIX's zones count westward.
      for (zone, day, hour) in [("UTC0", 5, 8), ("AAA11", 4, 21), ("BBB-9", 5, 17), ("UTC0", 5, 8)]
      {
        setenv("TZ", zone, 1)
        let local = LocalTime.fields(unixSeconds: 1_800_000_000)
        guard local.tm_wday == day, local.tm_hour == hour, local.tm_min == 0 else {
          exit(EXIT_FAILURE)
        }
      }
    }
  }
}
