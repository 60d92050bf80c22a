import Glibc

/// The calendar in the machine's time zone as it is now: Foundation's would be that of the
/// process's start.
package enum LocalTime {
  /// The fields of a time in seconds since 1970.
  package static func fields(unixSeconds: Int) -> tm {
    var seconds = time_t(unixSeconds)
    var local = tm()
    // Looks at TZ, and at /etc/localtime where it has changed; localtime_r does so once only.
    tzset()
    localtime_r(&seconds, &local)
    return local
  }
}
