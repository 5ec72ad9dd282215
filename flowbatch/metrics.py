"""Every metric of flowbatch, named once; nothing else creates one."""
