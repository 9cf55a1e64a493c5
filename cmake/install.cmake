# What `cmake --install` puts where: lib/libpouch.so.1, the headers, pouch.pc, the CMake package config, the programs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(pouch_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pouch)

if(TARGET pouch_shared)
  install(TARGETS pouch_shared EXPORT pouch-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/capi/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")
  install(EXPORT pouch-targets NAMESPACE pouch:: DESTINATION ${pouch_package_dir})

  configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/pouch-config.cmake.in
    ${CMAKE_BINARY_DIR}/pouch-config.cmake INSTALL_DESTINATION ${pouch_package_dir})
  # The C ABI only ever grows: any version of major 1 that is not older will do.
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/pouch-config-version.cmake COMPATIBILITY SameMajorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/pouch-config.cmake ${CMAKE_BINARY_DIR}/pouch-config-version.cmake
    DESTINATION ${pouch_package_dir})

  # Two files of one template: the installed one, and one for programs built against the build folder.
  set(pouch_pc_prefix ${CMAKE_INSTALL_PREFIX})
  set(pouch_pc_libdir \${prefix}/${CMAKE_INSTALL_LIBDIR})
  set(pouch_pc_includedir \${prefix}/${CMAKE_INSTALL_INCLUDEDIR})
  configure_file(${CMAKE_CURRENT_LIST_DIR}/pouch.pc.in ${CMAKE_BINARY_DIR}/pouch-installed.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/pouch-installed.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig RENAME pouch.pc)
  set(pouch_pc_prefix ${CMAKE_BINARY_DIR})
  set(pouch_pc_libdir \${prefix}/lib)
  set(pouch_pc_includedir ${CMAKE_SOURCE_DIR}/capi/include)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/pouch.pc.in ${CMAKE_BINARY_DIR}/pkgconfig/pouch.pc @ONLY)
endif()

foreach(program IN ITEMS pouch pouchd)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
if(TARGET pouch-keeper)
  install(TARGETS pouch-keeper RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/pouch)
endif()

if(TARGET pouchd)
  # Two files of one template, as pouch.pc has: the installed one, and one for the build folder's pouchd.
  set(pouch_unit_bindir ${CMAKE_INSTALL_FULL_BINDIR})
  configure_file(${CMAKE_SOURCE_DIR}/daemon/pouchd/pouchd.service.in
    ${CMAKE_BINARY_DIR}/pouchd-installed.service @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/pouchd-installed.service DESTINATION lib/systemd/system RENAME pouchd.service)
  set(pouch_unit_bindir ${CMAKE_BINARY_DIR}/bin)
  configure_file(${CMAKE_SOURCE_DIR}/daemon/pouchd/pouchd.service.in
    ${CMAKE_BINARY_DIR}/systemd/pouchd.service @ONLY)
endif()
